// A result in cards: the answer, what it rests on, and the tree.

/** Forks and tokens by entropy: what the colours and widths of a tree mean, and what else there is to say. */
function legend(note = null) {
  return made("p", { class: "soft legend" },
    made("span", {}, "forks and tokens by entropy: 0", made("span", { class: "ramp", "aria-hidden": "true" }), `${HOTTEST} nats`),
    made("span", {}, "width: path weight"),
    made("span", {}, "letters: answers"),
    note);
}

/** Draw a result into a box that is in the document; `tipBox` is for what is pointed at. */
function drawResult(box, result, decision, tipBox) {
  const answers = new Answers(result.distribution);
  let tree = null;
  const cards = made("div", { class: "cards" },
    made("div", { class: "stack" }, answerCard(result, decision), sharesCard(result, answers, (answer) => tree?.only(answer))),
    confidenceCard(result, decision),
    Object.keys(result.fields).length ? fieldsCard(result.fields) : null,
    result.claims?.length ? claimsCard(result.claims) : null);
  box.append(cards);
  if (result.tree === null || !result.tree.nodes.length) {
    cards.append(card("Tree", true, made("p", { class: "soft" }, "This result carries no tree.")));
  } else {
    const tip = new Tip(tipBox, answers);
    const path = new PathView(answers, tip);
    tree = new TreeMap(result, answers, { onSelect: (one) => path.show(one), tip, room: box.clientWidth });
    const shown = result.tree.nodes.some((node) => node.pieces);
    const note = shown ? null : made("span", {}, "this result carries no texts of single tokens");
    cards.append(card("Tree", true, legend(note), tree.box, path.box));
    const worth = (leaf) => (leaf.data.leaf?.answer === result.answer ? 1 : 0) + leaf.weight;
    tree.select(tree.root.leaves().reduce((best, leaf) => (worth(leaf) > worth(best) ? leaf : best)), false);
  }
  cards.append(costCard(result));
  tree?.reveal(tree.root);
}
