// The cards beside the tree: answer and decision, confidence, p(a|x), fields, claims, what it cost.

const RUNGS = [["general", "general map"], ["shipped", "shipped calibrator"], ["own", "own calibrator"]];
const ACTIONS = { answer: "answer-it", abstain: "hold" };

function card(title, wide, ...children) {
  return made("section", { class: wide ? "card wide" : "card", "aria-label": title }, made("h2", {}, title), ...children);
}

function table(caption, heads, rows) {
  const head = made("tr", {}, heads.map(([name, numeric]) => made("th", { scope: "col", class: numeric ? "number" : null }, name)));
  return made("table", { "aria-label": caption }, made("thead", {}, head), made("tbody", {}, rows));
}

function answerCard(result, decision) {
  const said = result.declined ? "The passages do not say." : "No path gave an answer.";
  const answer = result.answer === null ? made("p", { class: "answer soft" }, said) : prose(result.answer, "p", "answer text");
  return card("Answer", false,
    answer,
    result.complete ? null : made("p", { class: "soft" }, "Incomplete: decoding was stopped before the tree was done."),
    decision === null ? made("p", { class: "soft" }, "No gate was asked.") : decided(decision, result));
}

function decided(decision, result) {
  const action = decision.would ?? decision.action;
  const told = decision.would === null ? action : `would ${action} (dry run)`;
  return made("div", {},
    made("p", {}, made("span", { class: `badge ${ACTIONS[action] ?? "other"}` }, `gate: ${told}`), text(decision.reason)),
    given(decision, result),
    decision.clarifying_question === null ? null : text(decision.clarifying_question, "p"),
    decision.doubtful_fields.length ? made("p", {}, "Doubtful fields: ", text(decision.doubtful_fields.join(", "))) : null);
}

/** What the gate answers where it is not the answer of this tree: a target's, or without doubtful claims. */
function given(decision, result) {
  if (decision.answer === null || decision.answer === result.answer) return null;
  return made("p", {}, decision.escalated ? "Answer of the target: " : "Given: ", text(decision.answer));
}

function confidenceCard(result, decision) {
  if (result.confidence === null) {
    return card("Confidence", false, made("p", { class: "soft" }, "There is none: no answer, an incomplete tree, or none was wanted."));
  }
  const basis = result.calibration;
  const limit = decision === null ? null : decision.threshold;
  return card("Confidence", false,
    made("p", { class: "answer" }, percent(result.confidence), made("span", { class: "soft" }, " P(correct)")),
    scale(result.confidence, basis && basis.interval, limit),
    basis === null ? made("p", { class: "soft" }, "The result does not say what it rests on.") : rests(basis),
    moved(result.confidence_parts));
}

function scale(value, interval, limit) {
  const box = made("div", { class: "scale", role: "img" });
  const told = [`P(correct) ${percent(value)}`];
  if (interval) {
    const band = made("span", { class: "band" });
    band.style.left = length(interval[0]);
    band.style.width = length(interval[1] - interval[0]);
    box.append(band);
    told.push(`90% interval ${percent(interval[0])} to ${percent(interval[1])}`);
  }
  if (limit !== null) {
    const line = made("span", { class: "limit" });
    line.style.left = length(limit);
    box.append(line);
    told.push(`the gate answers from ${percent(limit)} (dashed)`);
  }
  const mark = made("span", { class: "mark" });
  mark.style.left = length(value);
  box.append(mark);
  box.setAttribute("aria-label", told.join(", "));
  return made("div", {}, box, made("p", { class: "soft" }, told.slice(1).join(" · ")));
}

function rests(basis) {
  const rungs = RUNGS.map(([source, name]) => made("li", { "aria-current": source === basis.source ? "true" : null }, name));
  const labels = basis.source === "general" ? "learnt from other models' questions" : `learnt from ${plural(basis.labels, "label", "labels")}`;
  return made("div", {},
    made("ol", { class: "rungs", "aria-label": "Calibration, weakest rung first" }, rungs),
    made("p", { class: "soft" }, labels, basis.notes.length ? ": " : "", text(basis.notes.join("; "))));
}

function moved(parts) {
  if (!parts.length) return null;
  const most = Math.max(...parts.map((part) => Math.abs(part.log_odds)), 1e-9);
  const rows = parts.map((part) => {
    const bar = made("b", { class: part.log_odds < 0 ? "down" : null });
    bar.style.width = length(Math.abs(part.log_odds) / most);
    return made("tr", {},
      made("td", { title: visible(part.meaning) }, text(part.feature)),
      made("td", { class: "number" }, number(part.value)),
      made("td", { class: "pull" }, made("i", { "aria-hidden": "true" }, bar)),
      made("td", { class: "number" }, `${part.log_odds < 0 ? "−" : "+"}${number(Math.abs(part.log_odds))}`));
  });
  return made("details", { open: "" }, made("summary", {}, "What moved it"),
    table("What moved the confidence", [["feature"], ["value", true], ["moved"], ["log-odds", true]], rows));
}

function sharesCard(result, answers, onPick) {
  const rows = result.distribution.map((one) => {
    const fill = made("i");
    fill.style.width = length(one.share);
    return made("li", {}, made("button", { type: "button", "aria-pressed": "false", vars: { "--own": answers.colour(one.answer) } },
      made("span", { class: "key" }, answers.letter(one.answer)),
      one.answer === null ? made("span", { class: "soft" }, "no answer") : text(short(one.answer, 200)),
      made("span", {}, `${percent(one.share)} · ${plural(one.leaves, "leaf", "leaves")}`),
      made("span", { class: "bar", "aria-hidden": "true" }, fill)));
  });
  rows.forEach((row, place) => row.firstChild.addEventListener("click", () => {
    const pressed = row.firstChild.getAttribute("aria-pressed") !== "true";
    for (const other of rows) other.firstChild.setAttribute("aria-pressed", String(pressed && other === row));
    onPick(pressed ? result.distribution[place].answer : undefined);
  }));
  return card("Answers, p(a|x)", false,
    made("ul", { class: "shares", tabindex: "0", "aria-label": "Answers with their shares" }, rows),
    made("p", { class: "soft" }, "Shares are by path weight. Press one to see its paths alone."));
}

/** A value whose left edge is coloured by its confidence. */
function sure(confidence, ...children) {
  const known = typeof confidence === "number";
  return made("div", { class: known ? "sure" : "sure unknown", vars: known ? { "--part": length(confidence) } : {} }, children);
}

function fieldsCard(fields) {
  const rows = Object.entries(fields).map(([path, field]) => {
    const other = field.alternatives[0];
    return made("tr", {},
      made("td", {}, text(path)),
      made("td", {}, sure(field.confidence, text(JSON.stringify(field.value)))),
      made("td", { class: "number" }, field.confidence === null ? "–" : percent(field.confidence)),
      made("td", { class: "number" }, percent(field.share)),
      made("td", {}, other === undefined ? "" : text(`${JSON.stringify(other.value)} ${percent(other.share)}`)));
  });
  return card("Fields", true, table("Fields of the answer", [["field"], ["value"], ["confidence", true], ["share", true], ["or"]], rows));
}

function claimsCard(claims) {
  const items = claims.map((claim) => made("li", {}, sure(claim.confidence,
    text(claim.text), made("span", { class: "soft" }, typeof claim.confidence === "number" ? `  ${percent(claim.confidence)}` : "  not checked"))));
  return card("Claims", true, made("ul", { class: "claims" }, items));
}

function costCard(result) {
  const usage = result.usage;
  const saved = usage.tokens_as_chains ? 1 - usage.tokens_decoded / usage.tokens_as_chains : 0;
  const rows = [
    ["predictive entropy", `${number(result.predictive_entropy)} nats, margin ${percent(result.margin)}`],
    ["effective samples", `${tenths(result.ess)} of ${plural(usage.leaves, "leaf", "leaves")}`],
    ["tokens", `${whole(usage.tokens_decoded)} decoded; separate chains ${whole(usage.tokens_as_chains)} (${percent(saved)} saved)`],
    ["time", `${tenths(usage.seconds)} s, ${whole(usage.tokens_per_second)} tokens/s`],
    ["decoder", Object.entries(result.decoder).map(([name, value]) => `${name} ${value}`).join(", ")],
    ["model", result.model.name],
    ["seed", String(result.seed)],
    ["kind", `${result.kind}: ${result.kind_reason}`],
    ...result.notes.map((note) => ["note", note]),
    ...result.passages.map((passage, place) => [`passage ${place + 1}`, passage]),
  ].map(([name, value]) => made("tr", {}, made("th", { scope: "row" }, name), made("td", {}, text(value))));
  return card("Cost and settings", true, made("table", { "aria-label": "Cost and settings" }, made("tbody", {}, rows)));
}
