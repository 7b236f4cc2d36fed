// How a question is answered: the fields of a request.

import { made } from "/ui/result.js";

const DOUBTS = {
  "": "no gate", abstain: "give no answer", escalate: "ask the larger model", ask: "ask back", mark: "give it with a mark",
};
const THRESHOLD = "et-agent-threshold";
let fields = 0;

function field(label, control) {
  control.id = `setting-${(fields += 1)}`;
  return made("p", { class: "field" }, made("label", { for: control.id }, label), control);
}

function choice(pairs, chosen) {
  return made("select", {}, pairs.map(([value, name]) => made("option", { value, selected: value === chosen ? "" : null }, name)));
}

/** The threshold that the user took over from a run, or the server's. */
export const threshold = {
  taken: () => sessionStorage.getItem(THRESHOLD) !== null,
  get: (offer) => sessionStorage.getItem(THRESHOLD) ?? String(offer.answer_at),
  set: (value) => sessionStorage.setItem(THRESHOLD, String(value)),
};

export class Settings {
  constructor(offer, shared, { leaves = offer.leaves } = {}) {
    const doubt = threshold.taken() ? offer.doubts[0] : "";
    this.model = choice(offer.models.map((name) => [name, name]));
    this.leaves = made("input", { type: "number", min: 1, max: offer.most_leaves, step: 1, value: leaves, required: "" });
    this.temperature = made("input", { type: "number", min: 0, max: 2, step: 0.05, placeholder: "the decoder's" });
    this.kind = choice(offer.kinds.map((kind) => [kind, kind.replace("_", "/")]), "auto");
    this.doubt = choice(["", ...offer.doubts].map((name) => [name, DOUBTS[name]]), doubt);
    this.answerAt = made("input", { type: "number", min: 0, max: 1, step: "any", value: threshold.get(offer), required: "" });
    this.box = made("div", { class: "settings" },
      field("Model", this.model), field("Leaves", this.leaves), field("Temperature", this.temperature),
      field("Answer kind", this.kind), field("Below the threshold", this.doubt), field("Threshold", this.answerAt));
    const gated = () => { this.answerAt.disabled = this.doubt.value === ""; };
    this.doubt.addEventListener("change", gated);
    gated();
    shared.addEventListener("threshold", () => {
      this.answerAt.value = threshold.get(offer);
      if (this.doubt.value === "") this.doubt.value = offer.doubts[0];
      gated();
    });
  }

  /** Fields of a request. */
  fields() {
    const gate = this.doubt.value ? { on_doubt: this.doubt.value, answer_at: Number(this.answerAt.value) } : {};
    const temperature = this.temperature.value === "" ? {} : { temperature: Number(this.temperature.value) };
    return { model: this.model.value, leaves: Number(this.leaves.value), kind: this.kind.value, alternatives: 5, ...gate, ...temperature };
  }
}
