// Text and numbers. Model text reaches the page as text nodes and attributes, never as markup.

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const LONGEST = 90; // characters of a text in a label

/** Text with characters that reorder or hide other text written out. */
function visible(text) {
  return text.replace(HIDDEN, (one) => `⟨U+${one.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

function short(text, most = LONGEST) {
  const line = visible(text).replace(/\s+/gu, " ").trim();
  const letters = [...line.slice(0, 2 * most + 2)];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : line;
}

/** A text whose direction is its own. */
function text(string, tag = "span", name = "text") {
  return made(tag, { class: name, dir: "auto" }, visible(string));
}

/** An element; `vars` are custom properties of its style. */
function made(tag, { vars = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A text in full; a long one in a box of its own that the keyboard can scroll. */
function prose(string, tag, name) {
  const element = text(string, tag, name);
  if (string.length > 500) {
    element.classList.add("long");
    element.tabIndex = 0;
  }
  return element;
}

// Made once: a formatter takes far longer to make than to use, and a path has hundreds of numbers.
const formatter = (options) => {
  const format = new Intl.NumberFormat("en", options);
  return (value) => format.format(value).replace("-", "−");
};
const number = formatter({ minimumFractionDigits: 2, maximumFractionDigits: 2 });
const tenths = formatter({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const whole = formatter({ maximumFractionDigits: 0 });
const wholePercent = formatter({ style: "percent" });
const finePercent = formatter({ style: "percent", maximumFractionDigits: 1 });
const percent = (value) =>
  value > 0 && value < 0.0005 ? "<0.1%" : (value > 0 && value < 0.1 ? finePercent : wholePercent)(value);
/** A share as a length of CSS. */
const length = (value) => `${(100 * value).toFixed(2)}%`;
const plural = (count, one, many) => `${whole(count)} ${count === 1 ? one : many}`;
const heat = (entropy) => Math.min(1, Math.max(0, (entropy || 0) / HOTTEST));
/** An entropy in words; a server that samples only does not tell it. */
const nats = (entropy) => (Number.isFinite(entropy) ? `entropy ${number(entropy)} nats` : "entropy unknown");
const HOTTEST = 2.5; // nats at which the colour of entropy is full

/** What a leaf answers: null for nothing, undefined if it has not ended. */
const saidBy = (leaf) => (leaf.answer === null && leaf.finish === "cancelled" ? undefined : leaf.answer);

/** Letters and colours of the answers, by their order in the distribution. */
class Answers {
  constructor(distribution) {
    const said = distribution.map((one) => one.answer).filter((answer) => answer !== null);
    this.places = new Map(said.map((answer, place) => [answer, place]));
  }
  place(answer) {
    return this.places.get(answer) ?? this.places.size;
  }
  letter(answer) {
    if (answer === undefined) return "…";
    if (answer === null) return "–";
    const place = this.place(answer);
    return place < 26 ? String.fromCharCode(65 + place) : String(place + 1);
  }
  colour(answer) {
    if (answer === undefined) return "var(--cool)";
    const place = this.place(answer);
    return answer === null || place > 5 ? "var(--rest)" : `var(--a${place})`;
  }
  named(answer, most) {
    if (answer === undefined) return "unfinished";
    return answer === null ? "no answer" : short(answer, most);
  }
}
