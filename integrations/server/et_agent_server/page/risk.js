// How many answers are wrong if only the surest are given, and which threshold keeps a target.

import { json } from "/ui/api.js";
import { Chart } from "/ui/chart.js";
import { threshold } from "/ui/settings.js";
import { card, made, number, percent, table, visible, whole } from "/ui/result.js";

const FIRST = 0.05; // target that is shown first, or the next one that can be kept
const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];

class Risk {
  constructor(shared) {
    this.shared = shared;
    this.pick = made("select", { id: "run" });
    this.body = made("div");
    this.box = made("div", { class: "view" }, made("h1", {}, "Risk and coverage"),
      made("p", { class: "soft" }, "Set the error that you accept, on questions with known answers, and take the threshold over for your own."),
      made("p", { class: "field run" }, made("label", { for: "run" }, "Evaluation run"), this.pick), this.body);
    this.pick.addEventListener("change", () => this.load());
  }

  async opened() {
    if (this.pick.options.length) return;
    try {
      const { runs, store } = await json("/v1/runs");
      const usable = runs.filter((run) => run.questions > 0);
      this.pick.replaceChildren(...runs.map((run) => made("option", {
        value: run.name, disabled: run.questions ? null : "", selected: run === usable[0] ? "" : null,
      }, `${visible(run.name)} (${run.questions ? `${whole(run.questions)} questions` : "no labelled question"})`)));
      if (usable.length) await this.load();
      else this.tell(`There is no run with labelled questions in ${visible(store)}: make one with et-agent eval run.`);
    } catch (error) {
      this.tell(error.message);
    }
  }

  tell(what) {
    this.body.replaceChildren(made("p", { class: "bad", role: "alert" }, what));
  }

  async load() {
    const name = this.pick.value;
    this.body.replaceChildren(made("p", { class: "soft", role: "status" }, "Reading the run…"));
    try {
      const report = await json(`/v1/runs/${encodeURIComponent(name)}/risk`);
      if (name === this.pick.value) this.draw(report);
    } catch (error) {
      this.tell(error.message);
    }
  }

  draw(report) {
    const most = Math.max(...report.risk, report.targets.at(-1).target_error), to = Math.min(1, Math.ceil(most * 10) / 10);
    const ticks = TICKS.map((part) => part * to);
    this.chart = new Chart(
      `Risk-coverage curve of ${report.run.name}: ${percent(report.risk.at(-1))} of all answers are wrong`,
      { name: "coverage: share of questions answered, surest first", to: 1, ticks: TICKS, format: percent },
      { name: "risk: share wrong", to, ticks, format: percent });
    this.chart.line(report.coverage.map((x, place) => [x, report.risk[place]]), "curve");
    this.marks = [];
    const start = Math.max(0, report.targets.findIndex((one) => one.threshold !== null && one.target_error >= FIRST));
    this.slider = made("input", { id: "target", type: "range", min: 0, max: report.targets.length - 1, step: 1, value: start });
    this.said = made("output", { for: "target" });
    this.found = made("div", { role: "status" });
    this.use = made("button", { type: "button", class: "main" }, "Use this threshold");
    this.slider.addEventListener("input", () => this.move(report));
    this.use.addEventListener("click", () => this.take());
    const rows = [0.25, 0.5, 0.75, 1].map((part) => {
      const at = report.coverage.findIndex((one) => one >= part - 1e-9);
      return made("tr", {}, made("td", {}, percent(part)), made("td", { class: "number" }, percent(report.risk[at])));
    });
    const about = `${whole(report.run.questions)} questions of ${report.run.data}, ${percent(report.accuracy)} right, judged by the ${report.judged_by}.`;
    this.body.replaceChildren(made("div", { class: "cards" },
      card("Risk-coverage curve", false, this.chart.box,
        made("p", { class: "field" }, made("label", { for: "target" }, "Target error"), this.slider, this.said)),
      made("div", { class: "stack" },
        card("Threshold", false, this.found, this.use),
        card("The run", false, made("p", {}, visible(about)),
          made("p", { class: "soft" }, visible(`${report.run.model}; ${report.run.decoder}`)),
          report.fitted_on_it ? made("p", { class: "bad" }, "It was fitted on questions of this data: if these are among them, all of this is too good and no bound holds.") : null,
          table("Risk by coverage", [["coverage"], ["wrong", true]], rows)))));
    this.move(report);
  }

  move(report) {
    const one = report.targets[Number(this.slider.value)];
    this.said.textContent = percent(one.target_error);
    this.slider.setAttribute("aria-valuetext", percent(one.target_error));
    for (const mark of this.marks) mark.remove();
    this.marks = [this.chart.across(one.target_error, "target")];
    this.chosen = one.threshold;
    this.use.disabled = one.threshold === null;
    if (one.threshold === null) {
      this.found.replaceChildren(made("p", { class: "answer" }, "none"), made("p", {}, visible(one.basis)));
      return;
    }
    this.marks.push(this.chart.add("circle", { class: "point", r: 6, cx: this.chart.x(one.coverage), cy: this.chart.y(one.errors / (one.answered || 1)) }));
    this.found.replaceChildren(
      made("p", { class: "answer" }, number(one.threshold), made("span", { class: "soft" }, " and above")),
      made("p", {}, `answers ${percent(one.coverage)} of the questions, ${whole(one.errors)} of ${whole(one.answered)} wrong`),
      made("p", { class: "soft" }, visible(one.basis)));
  }

  take() {
    threshold.set(this.chosen);
    this.shared.dispatchEvent(new Event("threshold"));
    location.hash = "#ask";
  }
}

export function riskView(offer, shared) {
  return new Risk(shared);
}
