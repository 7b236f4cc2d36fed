// What gates decided, and whether the confidence still fits the labels.

import { json } from "/ui/api.js";
import { Chart } from "/ui/chart.js";
import { ACTIONS, card, made, number, percent, plural, table, text, whole } from "/ui/result.js";

const HEADS = [["made"], ["action"], ["confidence", true], ["threshold", true], ["rests on"], ["label"], ["tokens", true], ["reason"]];

function row(one) {
  const action = one.would ?? one.action;
  return made("tr", {},
    made("td", { class: "when" }, one.made.replace("T", " ").replace("+00:00", " UTC")),
    made("td", {}, made("span", { class: `badge ${ACTIONS[action] ?? "other"}` }, action), one.escalated ? " escalated" : ""),
    made("td", { class: "number" }, one.confidence === null ? "–" : percent(one.confidence)),
    made("td", { class: "number" }, number(one.threshold)),
    made("td", {}, one.source ?? "–"),
    made("td", {}, one.right === null ? "–" : one.right ? "right" : "wrong"),
    made("td", { class: "number" }, whole(one.tokens)),
    made("td", {}, text(one.reason)));
}

function driftCard(drift) {
  if (drift === null) return card("Drift", false, made("p", { class: "soft" }, "It is seen from labelled decisions: none yet."));
  const { evidence, alarm } = drift;
  const low = Math.min(0.1, ...evidence), high = Math.max(100, ...evidence);
  const ticks = [0.01, 0.1, 1, alarm, 100, 1000, 1e4].filter((one) => one >= low && one <= high);
  const told = drift.drifted
    ? `The confidence has drifted: it is ${drift.direction}. Fit it again.`
    : "The labels do not speak against the confidence.";
  const chart = new Chart(`Evidence of drift after each of ${plural(evidence.length, "label", "labels")}, now ${number(evidence.at(-1))}. ${told}`,
    { name: "labels", to: Math.max(1, evidence.length), ticks: [0, evidence.length], format: whole },
    { name: "evidence (log)", from: low, to: high, ticks, log: true, format: (one) => (one < 1 ? String(one) : whole(one)) });
  chart.across(alarm, "target");
  chart.line([[0, 1], ...evidence.map((one, place) => [place + 1, Math.max(one, low)])], "curve");
  return card("Drift", false, made("p", { class: drift.drifted ? "bad" : null }, told), chart.box,
    made("p", { class: "soft" }, `Evidence against the confidence by labels; from ${whole(alarm)} on (dashed) it has drifted.`));
}

function reportCard(report) {
  const rows = [
    ...Object.entries(report.actions).map(([action, count]) => [action, `${whole(count)} (${percent(count / (report.decisions || 1))})`]),
    ["labelled", whole(report.labelled)],
    ["error among answers", report.answered_labelled ? `${percent(report.errors / report.answered_labelled)}, ${whole(report.errors)} of ${whole(report.answered_labelled)} labelled` : "no labels yet"],
    ["cost", `${plural(report.tokens, "token", "tokens")}, ${number(report.seconds)} s`],
    ["confidences from", Object.entries(report.sources).map(([name, count]) => `${name} ${whole(count)}`).join(", ") || "–"],
  ].map(([name, value]) => made("tr", {}, made("th", { scope: "row" }, name), made("td", {}, value)));
  return card(plural(report.decisions, "decision", "decisions"), false, made("table", { "aria-label": "Report" }, made("tbody", {}, rows)));
}

class Decisions {
  constructor(offer) {
    this.kept = offer.keeps_decisions;
    this.body = made("div");
    this.box = made("div", { class: "view" }, made("h1", {}, "Decisions"),
      made("p", { class: "soft" }, "What gates decided. The log has no questions and no answers."), this.body);
  }

  /** Anew each time, since questions are asked meanwhile. */
  async opened() {
    if (!this.kept) {
      this.body.replaceChildren(made("p", {}, "This server keeps no decisions: start it with ", made("code", {}, "--log FILE"), "."));
      return;
    }
    try {
      const [report, page] = await Promise.all([json("/v1/decisions/report"), json("/v1/decisions")]);
      this.rows = made("tbody");
      this.more = made("button", { type: "button", class: "plain" }, "Older ones");
      this.more.addEventListener("click", () => this.older());
      const log = made("table", { "aria-label": "Decisions, the latest first" },
        made("thead", {}, made("tr", {}, HEADS.map(([name, numeric]) => made("th", { scope: "col", class: numeric ? "number" : null }, name)))), this.rows);
      this.body.replaceChildren(made("div", { class: "cards" }, reportCard(report), driftCard(report.drift),
        card("Log", true, made("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Log" }, log), this.more)));
      this.add(page);
    } catch (error) {
      this.body.replaceChildren(made("p", { class: "bad", role: "alert" }, error.message));
    }
  }

  add({ decisions, before }) {
    this.rows.append(...decisions.map(row));
    this.before = before;
    this.more.hidden = before === null;
  }

  async older() {
    this.add(await json(`/v1/decisions?before=${this.before}`));
  }
}

export function decisionsView(offer) {
  return new Decisions(offer);
}
