// The tree, laid out and drawn by d3: paths flow from the left into the answers at the right.

const ROW = 50, WIDEST = 24, TOTALS = 190;

/** Segments and leaves as d3's hierarchy, sides with the same answers beside each other. */
function hierarchyOf(tree, answers) {
  const items = tree.nodes.map((node) => ({ node, leaf: null, below: [] }));
  items.forEach((item) => item.node.parent === null || items[item.node.parent].below.push(item));
  const endsAt = new Map();
  for (const leaf of tree.leaves) endsAt.set(leaf.node, [...(endsAt.get(leaf.node) ?? []), leaf]);
  for (const [place, leaves] of endsAt) {
    const item = items[place];
    if (leaves.length === 1 && !item.below.length) item.leaf = leaves[0];
    else item.below.push(...leaves.map((leaf) => ({ node: null, leaf, below: [] })));
  }
  const root = d3.hierarchy(items[0], (item) => item.below);
  root.eachAfter((one) => {
    const under = one.children ?? [];
    const leaf = one.data.leaf;
    one.weight = leaf ? leaf.weight : one.data.node.weight;
    one.answers = leaf ? new Set([saidBy(leaf)]) : new Set(under.flatMap((child) => [...child.answers]));
    one.thinking = leaf ? leaf.reasoning_tokens : Math.min(...under.map((child) => child.thinking), Infinity);
    const mass = under.reduce((sum, child) => sum + child.weight, 0);
    one.order = leaf ? answers.place(saidBy(leaf))
      : under.reduce((sum, child) => sum + child.order * child.weight, 0) / (mass || 1);
  });
  return root.sort((a, b) => a.order - b.order || b.weight - a.weight);
}

const sides = (one) => (one.children ?? []).filter((child) => child.data.node);
/** Entropy where a segment ends in a fork, nats, NaN if it is not known; null elsewhere. */
function forkEntropy(one) {
  return sides(one).length > 1 ? sides(one)[0].data.node.entropies[0] ?? NaN : null;
}
const isThought = (one) => one.data.node !== null && one.thinking < Infinity
  && one.data.node.start + one.data.node.entropies.length <= one.thinking && one.thinking > 0;

function labelOf(one) {
  if (one.data.node === null) return "(same text)";
  if (isThought(one)) return `thought, ${plural(one.data.node.entropies.length, "token", "tokens")}`;
  return short(one.data.node.text) || (one.data.node.entropies.length ? "(end)" : "(start)");
}

function spoken(one, answers) {
  const parts = [labelOf(one)];
  if (one.parent && one.data.node) parts.push(`${percent(one.data.node.branch_share)} of its fork`);
  parts.push(`path weight ${percent(one.weight)}`);
  const entropy = forkEntropy(one);
  if (entropy !== null) parts.push(`fork into ${sides(one).length}, ${nats(entropy)}`);
  if (one.data.leaf) parts.push(endOf(one.data.leaf, answers));
  return parts.filter(Boolean).join("; ");
}
function endOf(leaf, answers) {
  const said = saidBy(leaf);
  if (said === undefined) return "unfinished";
  return [`leaf: answer ${answers.letter(said)}, ${answers.named(said)}`, ENDS[leaf.finish]].filter(Boolean).join("; ");
}
const ENDS = { stop: "", length: "cut off", cancelled: "unfinished" };

/** Answers as a partition of the height by share, each cut into its leaves. */
function totalsOf(root, height) {
  const groups = new Map();
  for (const leaf of root.leaves()) {
    const answer = leaf.data.leaf ? saidBy(leaf.data.leaf) : null;
    groups.set(answer, [...(groups.get(answer) ?? []), leaf]);
  }
  const totals = [...groups].map(([answer, leaves]) => ({ answer, children: leaves.map((leaf) => ({ leaf, weight: leaf.weight })) }));
  const whole = d3.hierarchy({ children: totals }).sum((one) => one.weight ?? 0);
  return d3.partition().size([height, 3]).padding(3)(whole);
}

class TreeMap {
  /** `room` is the width that there is, in pixels. */
  constructor(result, answers, { onSelect, tip, room = innerWidth }) {
    this.answers = answers;
    this.onSelect = onSelect;
    this.root = hierarchyOf(result.tree, answers);
    this.column = this.root.height > 8 || room < 700 ? 150 : 200;
    this.before = this.root.data.node.entropies.length ? this.column : 48; // room before the first segment's end
    d3.cluster().nodeSize([ROW, this.column]).separation(() => 1)(this.root);
    const rows = this.root.descendants().map((one) => one.x);
    this.top = Math.min(...rows) - ROW;
    this.height = Math.max(Math.max(...rows) - this.top + ROW / 2, 140);
    this.order = [];
    this.root.eachBefore((one) => this.order.push(one));
    this.order.forEach((one, place) => { one.id = place; });
    this.box = made("div", { class: "map", role: "group", tabindex: "0", "aria-label": "Map of the tree" });
    this.draw(tip);
  }

  draw(tip) {
    const width = this.root.height * this.column + this.before + 130 + TOTALS;
    const svg = d3.select(this.box).append("svg").attr("width", width).attr("height", this.height)
      .attr("role", "tree").attr("aria-label", "Tree of paths. Arrow keys move along it.");
    const plane = svg.append("g").attr("role", "none").attr("transform", `translate(${this.before},${-this.top})`);
    this.links(plane.append("g").attr("aria-hidden", "true"));
    this.totals(plane.append("g").attr("aria-hidden", "true"));
    this.items = plane.append("g").attr("role", "none").selectAll("g").data(this.order).join("g")
      .attr("class", "item").attr("role", "treeitem").attr("tabindex", -1).attr("aria-selected", "false")
      .attr("aria-level", (one) => one.depth + 1)
      .attr("aria-posinset", (one) => (one.parent ? one.parent.children.indexOf(one) + 1 : 1))
      .attr("aria-setsize", (one) => (one.parent ? one.parent.children.length : 1))
      .attr("aria-expanded", (one) => (one.children ? "true" : null))
      .attr("aria-label", (one) => spoken(one, this.answers))
      .attr("transform", (one) => `translate(${one.y},${one.x})`);
    this.labels();
    this.marks();
    this.items.on("click", (event, one) => this.select(one, true)).on("keydown", (event, one) => this.move(event, one))
      .on("focus", (event, one) => { this.select(one, false); tip.segment(event.currentTarget, one); })
      .on("mouseenter", (event, one) => tip.segment(event.currentTarget, one))
      .on("mouseleave blur", () => tip.hide());
  }

  links(layer) {
    const shape = d3.linkHorizontal().x((end) => end.y).y((end) => end.x);
    const start = { source: { x: this.root.x, y: -this.before + 12 }, target: this.root };
    this.lines = layer.selectAll("path").data([start, ...this.root.links()]).join("path")
      .attr("class", "link").attr("d", shape).attr("stroke-width", (link) => this.thickness(link.target))
      .style("stroke", (link) => {
        const [only, ...others] = link.target.answers;
        return others.length ? null : `color-mix(in srgb, ${this.answers.colour(only)} 60%, var(--cool))`;
      });
  }

  totals(layer) {
    const whole = totalsOf(this.root, this.height - ROW);
    const left = this.root.height * this.column, right = left + 130, up = this.top + ROW / 2;
    const ends = whole.leaves().map((part) => ({
      source: { x: part.data.leaf.x, y: left + 12 }, target: { x: up + (part.x0 + part.x1) / 2, y: right }, part,
    }));
    this.flows = layer.selectAll("path").data(ends).join("path").attr("class", "flow")
      .attr("d", d3.linkHorizontal().x((end) => end.y).y((end) => end.x))
      .attr("stroke-width", (end) => Math.max(1, Math.min(end.part.x1 - end.part.x0, this.thickness(end.part.data.leaf))))
      .style("--own", (end) => this.answers.colour(end.part.parent.data.answer));
    const bars = layer.selectAll("g").data(whole.children).join("g")
      .attr("transform", (bar) => `translate(${right},${up + bar.x0})`).style("--own", (bar) => this.answers.colour(bar.data.answer));
    this.bars = bars;
    bars.append("rect").attr("class", "total").attr("width", 10).attr("rx", 2).attr("height", (bar) => Math.max(2, bar.x1 - bar.x0));
    bars.filter((bar) => bar.x1 - bar.x0 > 13).append("text").attr("class", "name").attr("x", 16)
      .attr("y", (bar) => (bar.x1 - bar.x0) / 2).attr("dy", "0.35em")
      .text((bar) => `${this.answers.letter(bar.data.answer)}  ${this.answers.named(bar.data.answer, 14)}  ${percent(bar.value)}`);
  }

  labels() {
    const width = (one) => (one.parent ? this.column : this.before) - 34;
    this.items.filter((one) => one.parent || one.data.node.text).append("foreignObject")
      .attr("x", (one) => -width(one) - 14).attr("width", width).attr("height", 30)
      .attr("y", (one) => -32 - Math.min(10, this.thickness(one) / 2)).attr("aria-hidden", "true")
      .append((one) => {
        const share = one.parent && one.data.node ? made("b", {}, `${percent(one.data.node.branch_share)} `) : null;
        const plain = one.data.node === null || isThought(one);
        return made("div", { class: "label" }, made("div", { class: "text", dir: "auto" }, share,
          made("span", { class: plain ? "thought" : null }, labelOf(one))));
      });
  }

  marks() {
    const forks = this.items.filter((one) => !one.data.leaf);
    forks.append("circle").attr("class", "dot").attr("r", (one) => (forkEntropy(one) === null ? 4 : 9))
      .style("--heat", (one) => length(heat(forkEntropy(one) ?? 0)));
    const leaves = this.items.filter((one) => one.data.leaf).style("--own", (one) => this.answers.colour(saidBy(one.data.leaf)));
    leaves.append("rect").attr("class", (one) => (saidBy(one.data.leaf) === undefined ? "leaf unfinished" : "leaf")).attr("x", -10).attr("y", -10).attr("width", 20).attr("height", 20).attr("rx", 4);
    leaves.append("text").attr("class", "letter").attr("dy", "0.36em").text((one) => this.answers.letter(saidBy(one.data.leaf)));
    this.items.append("circle").attr("class", "ring").attr("r", 15);
  }

  thickness(one) {
    return Math.max(1.5, WIDEST * one.weight);
  }

  /** Show the path to a segment; `focus` moves the keyboard there too. */
  select(one, focus) {
    this.items.attr("aria-selected", (other) => String(other === one)).attr("tabindex", (other) => (other === one ? 0 : -1));
    const path = new Set(one.ancestors());
    this.lines.style("opacity", (link) => (path.has(link.target) ? 1 : null));
    if (focus) this.items.filter((other) => other === one).node().focus();
    this.onSelect(one);
  }

  /** Dim all but the paths of one answer; undefined dims nothing. */
  only(answer) {
    const hidden = (one) => answer !== undefined && !one.answers.has(answer);
    this.items.classed("dim", hidden);
    this.lines.classed("dim", (link) => hidden(link.target));
    this.flows.classed("dim", (end) => hidden(end.part.data.leaf));
    this.bars.classed("dim", (bar) => answer !== undefined && bar.data.answer !== answer);
    const best = this.root.leaves().find((leaf) => leaf.data.leaf?.answer === answer);
    if (best) this.select(best, false);
    if (best && answer !== undefined) this.reveal(best);
  }

  /** Scroll the map, and nothing else, to a segment. */
  reveal(one) {
    const { clientWidth: width, clientHeight: height } = this.box;
    this.box.scrollTo(one.y + this.before - width / 2, one.x - this.top - height / 2);
  }

  move(event, one) {
    const target = {
      ArrowRight: one.children?.[0], ArrowLeft: one.parent, ArrowDown: this.order[one.id + 1], ArrowUp: this.order[one.id - 1],
      Home: this.order[0], End: this.order[this.order.length - 1],
    }[event.key];
    if (target === undefined || target === null) return;
    event.preventDefault();
    this.select(target, true);
  }
}
