// A question while it is answered: its tree grows, then the whole result takes its place.

import { events } from "/ui/api.js";
import { Answers, Tip, TreeMap, card, drawResult, legend, made, percent, plural, short, whole } from "/ui/result.js";

const tipBox = document.getElementById("tip");

/** p(a|x) of the leaves that have ended, in the order in which answers came, so that colours stay. */
class Growing {
  constructor() {
    this.order = [];
  }

  distribution(tree) {
    const found = new Map(this.order.map((answer) => [answer, { answer, share: 0, leaves: 0 }]));
    for (const leaf of tree.leaves.filter((one) => one.finish !== "cancelled")) {
      const before = found.get(leaf.answer) ?? { answer: leaf.answer, share: 0, leaves: 0 };
      found.set(leaf.answer, { ...before, share: before.share + leaf.weight, leaves: before.leaves + leaf.count });
    }
    this.order = [...found.keys()];
    return [...found.values()];
  }
}

function progressOf({ tree, tokens }, distribution) {
  const count = (leaves) => leaves.reduce((sum, leaf) => sum + leaf.count, 0);
  const done = count(tree.leaves.filter((leaf) => leaf.finish !== "cancelled"));
  const leader = distribution.filter((one) => one.answer !== null).sort((a, b) => b.share - a.share)[0];
  const leads = leader ? `; ${short(leader.answer, 40)} leads with ${percent(leader.share)}` : "";
  return `${done} of ${plural(count(tree.leaves), "leaf", "leaves")}, ${whole(tokens)} tokens${leads}`;
}

export class LiveQuestion {
  /** `name` tells the regions of several questions on one page apart. */
  constructor(name = "") {
    this.name = name;
    this.box = made("div", { class: "live" });
    this.status = made("p", { class: "soft", role: "status" });
    this.growing = new Growing();
    this.tip = new Tip(tipBox, new Answers([]));
    this.map = null;
  }

  /** Ask, and return the last event; `onText` is told the reply as it comes. */
  async run(body, signal, { onText = () => {} } = {}) {
    this.status.textContent = "Waiting for a place…";
    this.place = made("div");
    this.box.replaceChildren(card("Tree", true, this.status, this.place));
    this.named();
    let end = null;
    for await (const event of events("/v1/ask/events", body, signal)) {
      if (event.type === "began") this.status.textContent = "Reading the question…";
      if (event.type === "text") onText(event);
      if (event.type === "tree") this.draw(event);
      if (event.type === "end") end = event;
    }
    this.tip.hide();
    this.box.replaceChildren();
    drawResult(this.box, end.result, end.result.decision, tipBox);
    this.named();
    return end;
  }

  /** The tree anew, unless the keyboard is in it: what is focused stays where it is. */
  draw(event) {
    const distribution = this.growing.distribution(event.tree);
    this.status.textContent = progressOf(event, distribution);
    if (this.map?.box.contains(document.activeElement)) return;
    const at = this.map ? [this.map.box.scrollLeft, this.map.box.scrollTop] : null;
    const answers = new Answers(distribution);
    this.tip.hide();
    this.tip.answers = answers;
    this.map = new TreeMap({ tree: event.tree }, answers, { onSelect: () => {}, tip: this.tip, room: this.box.clientWidth });
    this.place.replaceChildren(legend(), this.map.box);
    if (at) this.map.box.scrollTo(...at);
    else this.map.reveal(this.map.root);
  }

  named() {
    if (!this.name) return;
    for (const one of this.box.querySelectorAll("section, .map, [role=tree]")) {
      one.setAttribute("aria-label", `${one.getAttribute("aria-label")} (${this.name})`);
    }
  }
}
