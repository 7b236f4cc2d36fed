// The tokens of the selected path, coloured by entropy, and the tip with what else could have come.

class Tip {
  constructor(box, answers) {
    this.box = box;
    this.answers = answers;
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.hide());
    addEventListener("scroll", () => this.follow(), { capture: true, passive: true });
  }

  hide() {
    this.box.hidden = true;
  }

  show(anchor, ...children) {
    this.anchor = anchor;
    this.box.replaceChildren(...children.filter(Boolean));
    this.box.hidden = false;
    this.place();
  }

  /** Stay beside what has the keyboard, which is scrolled into view; leave what the pointer has left. */
  follow() {
    if (this.box.hidden) return;
    if (this.anchor === document.activeElement) this.place();
    else this.hide();
  }

  place() {
    const at = this.anchor.getBoundingClientRect(), own = this.box.getBoundingClientRect();
    const below = at.bottom + own.height + 10 < innerHeight;
    this.box.style.left = `${Math.max(8, Math.min(at.left, innerWidth - own.width - 8))}px`;
    this.box.style.top = `${Math.max(8, below ? at.bottom + 6 : at.top - own.height - 6)}px`;
  }

  segment(anchor, one) {
    const entropy = forkEntropy(one);
    const choices = sides(one).map((child) => ({ text: firstWords(child), probability: child.data.node.branch_share }));
    const likely = entropy === null ? null : sides(one)[0].data.node.alternatives?.[0];
    this.show(anchor, made("div", {}, spoken(one, this.answers)),
      entropy === null ? null : choiceTable("sides, by share", choices),
      likely?.length ? choiceTable("the model's next tokens", likely) : null);
  }

  token(anchor, token) {
    const siblings = token.place === 0 && token.one.parent ? sides(token.one.parent) : [];
    const choices = siblings.map((child) => ({ text: firstWords(child), probability: child.data.node.branch_share, came: child === token.one }));
    const likely = (token.alternatives ?? []).map((choice) => ({ ...choice, came: choice.text === token.text }));
    this.show(anchor, made("div", {}, tokenWords(token)),
      likely.length ? choiceTable("the model's next tokens", likely) : null,
      choices.length > 1 ? choiceTable("sides of the fork here, by share", choices) : null);
  }
}

const firstWords = (one) => one.data.node.pieces?.[0] || short(one.data.node.text, 24) || "";
const quoted = (string) => (string ? `“${visible(string).replace(/\n/g, "⏎")}”` : "(end)");
const tokenWords = (token) =>
  `${quoted(token.text.length > 60 ? short(token.text, 60) : token.text)}: ${token.log_prob === null ? "" : `probability ${percent(Math.exp(token.log_prob))}, `}${nats(token.entropy)}`;

function choiceTable(caption, choices) {
  const rows = choices.map((choice) => {
    const fill = made("i");
    fill.style.width = length(choice.probability);
    return made("tr", { class: choice.came ? "came" : null }, made("td", { dir: "auto" }, quoted(choice.text)),
      made("td", { class: "bar", "aria-hidden": "true" }, fill), made("td", { class: "number" }, percent(choice.probability)));
  });
  return made("table", {}, made("caption", { class: "soft" }, caption), made("tbody", {}, rows));
}

/** Tokens of a segment; one for the whole text where the result carries no token texts. */
function tokensOf(one) {
  const node = one.data.node;
  if (node === null) return [];
  const { pieces, entropies, log_probs: logProbs, alternatives } = node;
  if (!pieces) {
    const known = entropies.filter((value) => value !== null);
    const mean = known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    return node.text ? [{ one, place: 0, at: node.start, text: node.text, entropy: mean, log_prob: null, alternatives: null }] : [];
  }
  return pieces.map((piece, place) => ({
    one, place, at: node.start + place, text: piece, entropy: entropies[place], log_prob: logProbs[place], alternatives: alternatives?.[place],
  }));
}

class PathView {
  constructor(answers, tip) {
    this.answers = answers;
    this.tip = tip;
    this.title = made("h3");
    this.body = made("div");
    this.box = made("div", { class: "path" }, this.title, this.body);
  }

  show(one) {
    const leaf = one.data.leaf;
    const end = leaf ? `answer ${this.answers.letter(saidBy(leaf))}, ${this.answers.named(saidBy(leaf), 60)}, ` : "";
    const count = leaf && leaf.count > 1 ? `, ${leaf.count} samples` : "";
    const finish = leaf && ENDS[leaf.finish] ? `, ${ENDS[leaf.finish]}` : "";
    this.title.textContent = `Path to ${leaf ? "the leaf" : "here"}: ${end}path weight ${percent(one.weight)}${count}${finish}`;
    const tokens = one.ancestors().reverse().flatMap(tokensOf);
    const thinking = one.thinking < Infinity ? one.thinking : 0;
    const thought = tokens.filter((token) => token.at < thinking), said = tokens.filter((token) => token.at >= thinking);
    const parts = [];
    if (thought.length) {
      const fold = made("details", {}, made("summary", {}, `Thought, ${plural(thinking, "token", "tokens")}`));
      fold.addEventListener("toggle", () => fold.children.length === 1 && fold.append(this.words("Thought", thought)));
      parts.push(fold);
    }
    if (said.length) parts.push(this.words("Tokens of the path", said));
    this.body.replaceChildren(...parts);
  }

  words(name, tokens) {
    const spans = tokens.map((token, place) => made("span", {
      class: "token", role: "option", tabindex: place ? -1 : 0, "aria-label": tokenWords(token), vars: { "--heat": length(0.65 * heat(token.entropy)) },
    }, visible(token.text) || "∎"));
    const list = made("div", { class: "words text", dir: "auto", role: "listbox", "aria-label": `${name}; arrow keys move` });
    tokens.forEach((token, place) => {
      const forked = token.place === 0 && token.one.parent && token.one.parent.children.length > 1;
      if (forked) list.append(made("span", { class: "cut", "aria-hidden": "true" }, `⑂ ${percent(token.one.data.node.branch_share)}`));
      list.append(spans[place]);
    });
    const over = (event) => {
      const place = spans.indexOf(event.target);
      if (place >= 0) this.tip.token(spans[place], tokens[place]);
    };
    list.addEventListener("mouseover", over);
    list.addEventListener("focusin", over);
    list.addEventListener("click", (event) => spans.includes(event.target) && event.target.focus());
    for (const kind of ["mouseout", "focusout"]) list.addEventListener(kind, () => this.tip.hide());
    list.addEventListener("keydown", (event) => {
      const now = spans.indexOf(event.target);
      const next = { ArrowRight: now + 1, ArrowDown: now + 1, ArrowLeft: now - 1, ArrowUp: now - 1, Home: 0, End: spans.length - 1 }[event.key];
      if (now < 0 || next === undefined || !spans[next]) return;
      event.preventDefault();
      spans[now].tabIndex = -1;
      spans[next].tabIndex = 0;
      spans[next].focus();
    });
    return list;
  }
}
