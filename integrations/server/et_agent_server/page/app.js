// Which view is shown. Each is made when it is first asked for and then kept.

import { json } from "/ui/api.js";
import { made } from "/ui/result.js";
import { askView } from "/ui/ask.js";
import { compareView } from "/ui/compare.js";
import { decisionsView } from "/ui/decisions.js";
import { riskView } from "/ui/risk.js";

const VIEWS = { ask: askView, compare: compareView, risk: riskView, decisions: decisionsView };
const main = document.getElementById("main");
const shown = new Map();

/** What views know of each other: the threshold that one sets and the others take over. */
const shared = new EventTarget();

function show() {
  const name = location.hash.slice(1) || "ask";
  if (!(name in VIEWS)) return; // a place within a view
  if (!shown.has(name)) {
    shown.set(name, VIEWS[name](offer, shared));
    main.append(shown.get(name).box);
  }
  for (const [other, view] of shown) view.box.hidden = other !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${shown.get(name).box.querySelector("h1").textContent} – et-agent`;
  shown.get(name).opened?.();
}

let offer = null;
try {
  offer = await json("/v1/offer");
  addEventListener("hashchange", show);
  show();
  if (!shown.size) location.hash = "#ask";
} catch (error) {
  main.append(made("h1", {}, "et-agent"), made("p", { class: "bad", role: "alert" }, `The server does not answer: ${error.message}`));
}
