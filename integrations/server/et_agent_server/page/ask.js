// A conversation: each reply with its confidence, what the gate does, and its tree beside it.

import { json } from "/ui/api.js";
import { LiveQuestion } from "/ui/live.js";
import { Settings } from "/ui/settings.js";
import { ACTIONS, made, percent, prose, short, visible } from "/ui/result.js";

const STORED = "et-agent-conversation";
const EMPTY = "Ask something: the tree grows here, then the answer, its confidence and what moved it.";

/** What is kept of a turn, so that a reload keeps the conversation. */
const kept = ({ question, reply, id, answer, confidence, action, label }) => ({ question, reply, id, answer, confidence, action, label });

class Turn {
  constructor(question, onShow) {
    Object.assign(this, { question, reply: "", id: null, answer: null, confidence: null, action: null, label: null });
    this.live = null;
    this.said = made("div", { class: "said text", dir: "auto" });
    this.facts = made("div", { class: "facts" });
    this.box = made("li", { class: "turn" },
      made("div", { class: "asked" }, made("span", { class: "soft" }, "You"), prose(question, "div", "text")),
      made("div", { class: "replied" }, made("span", { class: "soft" }, "Model"), this.said, this.facts));
    this.show = made("button", { type: "button", class: "plain" }, "Show its tree");
    this.show.addEventListener("click", () => onShow(this));
  }

  say(text) {
    this.said.textContent = visible(text);
  }

  ended({ id, reply, result }) {
    const decision = result.decision;
    Object.assign(this, {
      id, reply, answer: result.answer, confidence: result.confidence,
      action: decision === null ? null : decision.would ?? decision.action,
    });
    this.draw();
  }

  draw() {
    this.say(this.reply);
    const parts = [];
    if (this.answer !== null) parts.push(made("span", {}, "answer ", made("b", { class: "text", dir: "auto" }, short(this.answer, 80))));
    if (this.confidence !== null) parts.push(made("span", {}, "P(correct) ", made("b", {}, percent(this.confidence))));
    if (this.action !== null) parts.push(made("span", { class: `badge ${ACTIONS[this.action] ?? "other"}` }, `gate: ${this.action}`));
    this.facts.replaceChildren(...parts, ...(this.answer === null || this.id === null ? [] : [this.labels()]), ...(this.live ? [this.show] : []));
  }

  /** Right and wrong, one of which can be pressed once: a calibrator learns from it. */
  labels() {
    const told = made("span", { class: "soft", role: "status" }, this.label === null ? "" : "Learnt.");
    const buttons = [["Right", true], ["Wrong", false]].map(([name, right]) => {
      const button = made("button", { type: "button", class: "plain", "aria-pressed": String(this.label === right) }, name);
      button.disabled = this.label !== null;
      button.addEventListener("click", () => this.learn(right, buttons, told));
      return button;
    });
    return made("span", { class: "labels", role: "group", "aria-label": `Is ${short(this.answer, 40)} right?` }, buttons, told);
  }

  async learn(right, buttons, told) {
    for (const button of buttons) button.disabled = true;
    try {
      const found = await json("/v1/labels", { id: this.id, right });
      this.label = right;
      buttons[right ? 0 : 1].setAttribute("aria-pressed", "true");
      told.textContent = `Learnt: later confidences rest on ${found.labels} ${found.labels === 1 ? "label" : "labels"} of yours.`;
      this.box.dispatchEvent(new Event("labelled", { bubbles: true }));
    } catch (error) {
      told.textContent = error.message;
    }
  }
}

class Conversation {
  constructor(offer, shared) {
    this.turns = [];
    this.stopping = null;
    this.settings = new Settings(offer, shared);
    this.list = made("ol", { class: "turns", "aria-label": "Conversation" });
    this.text = made("textarea", { id: "question", rows: 3, required: "", placeholder: "How many legs have 3 cats and 2 birds?" });
    this.send = made("button", { class: "main" }, "Ask");
    this.stop = made("button", { type: "button", class: "plain", hidden: "" }, "Stop");
    this.anew = made("button", { type: "button", class: "plain" }, "New conversation");
    this.fault = made("p", { class: "bad", role: "alert" });
    this.form = made("form", { class: "composer" },
      made("label", { for: "question" }, "Question"), this.text,
      made("div", { class: "row" }, this.send, this.stop, this.anew), this.fault,
      made("details", {}, made("summary", {}, "Settings"), this.settings.box));
    this.detail = made("div", { class: "detail" }, made("p", { class: "empty soft" }, EMPTY));
    this.box = made("div", { class: "view" }, made("h1", {}, "Ask"),
      made("div", { class: "asking" }, made("div", { class: "talk" }, this.list, this.form), this.detail));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (this.form.reportValidity()) this.ask();
    });
    this.stop.addEventListener("click", () => this.stopping?.abort());
    this.anew.addEventListener("click", () => this.begin());
    this.list.addEventListener("labelled", () => this.keep());
    this.restore();
  }

  begin() {
    this.stopping?.abort();
    this.turns = [];
    this.list.replaceChildren();
    this.fault.textContent = "";
    this.detail.replaceChildren(made("p", { class: "empty soft" }, EMPTY));
    this.keep();
    this.text.focus();
  }

  keep() {
    sessionStorage.setItem(STORED, JSON.stringify(this.turns.map(kept)));
  }

  restore() {
    for (const one of JSON.parse(sessionStorage.getItem(STORED) ?? "[]")) {
      const turn = this.add(one.question);
      Object.assign(turn, one);
      turn.draw();
    }
  }

  add(question) {
    const turn = new Turn(question, (one) => {
      this.show(one);
      this.detail.scrollIntoView({ block: "nearest" });
    });
    this.turns.push(turn);
    this.list.append(turn.box);
    return turn;
  }

  show(turn) {
    for (const one of this.turns) one.box.classList.toggle("shown", one === turn);
    this.detail.replaceChildren(turn.live.box);
  }

  messages() {
    return this.turns.flatMap(({ question, reply }) => [
      { role: "user", content: question }, ...(reply ? [{ role: "assistant", content: reply }] : []),
    ]);
  }

  async ask() {
    const question = this.text.value.trim();
    if (!question || this.stopping) return;
    const turn = this.add(question);
    const stopping = this.stopping = new AbortController();
    const parts = { thought: "", answer: "" };
    turn.live = new LiveQuestion();
    turn.draw();
    this.text.value = this.fault.textContent = "";
    this.busy(true);
    this.show(turn);
    turn.box.scrollIntoView({ block: "nearest" });
    try {
      const end = await turn.live.run({ ...this.settings.fields(), messages: this.messages() }, stopping.signal, {
        onText: ({ kind, text }) => {
          parts[kind] += text;
          turn.say(parts.answer || parts.thought);
          turn.said.classList.toggle("thought", !parts.answer);
        },
      });
      turn.said.classList.remove("thought");
      turn.ended(end);
      this.keep();
    } catch (error) {
      this.failed(turn, error, stopping.signal.aborted);
    } finally {
      if (this.stopping === stopping) {
        this.stopping = null;
        this.busy(false);
      }
    }
  }

  /** A question without a reply is no part of the conversation: it can be asked again. */
  failed(turn, error, stopped) {
    if (!this.turns.includes(turn)) return; // another conversation has begun
    this.turns = this.turns.filter((one) => one !== turn);
    turn.box.remove();
    this.text.value = turn.question;
    this.fault.textContent = stopped ? "Stopped." : error.message;
    turn.live.status.textContent = stopped ? "Stopped." : "Failed.";
  }

  busy(is) {
    this.send.disabled = is;
    this.stop.hidden = !is;
  }
}

export function askView(offer, shared) {
  return new Conversation(offer, shared);
}
