// Two settings beside each other, on one question.

import { LiveQuestion } from "/ui/live.js";
import { Settings } from "/ui/settings.js";
import { card, made, number, percent, short, table, text, whole } from "/ui/result.js";

const ROWS = [
  ["answer", (one) => text(one.answer === null ? "none" : short(one.answer, 60))],
  ["P(correct)", (one) => (one.confidence === null ? "–" : percent(one.confidence))],
  ["gate", (one) => (one.decision === null ? "none" : one.decision.would ?? one.decision.action)],
  ["share of the answer", (one) => percent(one.share)],
  ["predictive entropy", (one) => `${number(one.predictive_entropy)} nats`],
  ["leaves", (one) => whole(one.usage.leaves)],
  ["tokens decoded", (one) => whole(one.usage.tokens_decoded)],
  ["time", (one) => `${number(one.usage.seconds)} s`],
];

function difference(a, b) {
  const rows = ROWS.map(([name, value]) => made("tr", {},
    made("th", { scope: "row" }, name), made("td", { class: "number" }, value(a)), made("td", { class: "number" }, value(b))));
  const same = a.answer === b.answer ? "Both give the same answer." : "The answers differ.";
  return card("Side by side", true, made("p", {}, same), table("The two results", [["measured"], ["A", true], ["B", true]], rows));
}

class Comparison {
  constructor(offer, shared) {
    this.stopping = null;
    const least = Math.max(1, Math.round(offer.leaves / 2));
    this.sides = [["A", least], ["B", offer.leaves]].map(([name, leaves]) => {
      const settings = new Settings(offer, shared, { leaves });
      const result = made("div", { class: "side" });
      return { name, settings, result, form: made("fieldset", {}, made("legend", {}, `Setting ${name}`), settings.box) };
    });
    this.text = made("textarea", { id: "compared", rows: 2, required: "" });
    this.seed = made("input", { id: "seed", type: "number", min: 0, step: 1, value: 0, required: "" });
    this.send = made("button", { class: "main" }, "Ask both");
    this.stop = made("button", { type: "button", class: "plain", hidden: "" }, "Stop");
    this.fault = made("p", { class: "bad", role: "alert" });
    this.table = made("div");
    this.form = made("form", { class: "composer" },
      made("label", { for: "compared" }, "Question"), this.text,
      made("div", { class: "sides" }, this.sides.map((side) => side.form)),
      made("div", { class: "row" }, this.send, this.stop, made("label", { for: "seed" }, "Seed"), this.seed), this.fault);
    this.box = made("div", { class: "view" }, made("h1", {}, "Compare"),
      made("p", { class: "soft" }, "One question with two settings, decoded side by side."),
      this.form, this.table, made("div", { class: "sides" }, this.sides.map((side) => side.result)));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    this.stop.addEventListener("click", () => this.stopping?.abort());
  }

  async ask() {
    const stopping = this.stopping = new AbortController();
    const question = this.text.value.trim();
    if (!question) return;
    this.fault.textContent = "";
    this.table.replaceChildren();
    this.busy(true);
    try {
      const ends = await Promise.all(this.sides.map((side) => this.side(side, question, stopping.signal)));
      this.table.replaceChildren(difference(...ends.map((end) => end.result)));
    } catch (error) {
      this.fault.textContent = stopping.signal.aborted ? "Stopped." : error.message;
      stopping.abort(); // the other side alone compares nothing
    } finally {
      this.busy(false);
    }
  }

  side({ name, settings, result }, question, signal) {
    const live = new LiveQuestion(`setting ${name}`);
    result.replaceChildren(made("h2", {}, `Setting ${name}`), live.box);
    return live.run({ ...settings.fields(), question, seed: Number(this.seed.value) }, signal);
  }

  busy(is) {
    this.send.disabled = is;
    this.stop.hidden = !is;
  }
}

export function compareView(offer, shared) {
  return new Comparison(offer, shared);
}
