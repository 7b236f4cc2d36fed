// A line in a frame with ticks.

import { made } from "/ui/result.js";

const WIDTH = 640, HEIGHT = 300, LEFT = 62, BOTTOM = 42, TOP = 12, RIGHT = 24;
const SVG = "http://www.w3.org/2000/svg";

function drawn(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * A frame for lines. `x` and `y` are {name, to, from = 0, ticks: [value], format}; `log` makes an axis logarithmic.
 */
export class Chart {
  constructor(label, x, y) {
    const scale = ({ from = 0, to, log }, low, high) => {
      const place = log ? Math.log : (value) => value;
      return (value) => low + ((place(value) - place(from)) / (place(to) - place(from) || 1)) * (high - low);
    };
    this.x = scale(x, LEFT, WIDTH - RIGHT);
    this.y = scale(y, HEIGHT - BOTTOM, TOP);
    this.svg = drawn("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
    for (const tick of x.ticks) {
      this.svg.append(drawn("line", { class: "grid", x1: this.x(tick), x2: this.x(tick), y1: TOP, y2: HEIGHT - BOTTOM }),
        drawn("text", { x: this.x(tick), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, x.format(tick)));
    }
    for (const tick of y.ticks) {
      this.svg.append(drawn("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: this.y(tick), y2: this.y(tick) }),
        drawn("text", { x: LEFT - 6, y: this.y(tick) + 4, "text-anchor": "end" }, y.format(tick)));
    }
    this.svg.append(drawn("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, x.name),
      drawn("text", { transform: `translate(14,${(HEIGHT - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.name));
    this.box = made("div", { class: "plot" }, this.svg);
  }

  /** A line through points [[x, y]]. */
  line(points, name) {
    const path = d3.line().x(([x]) => this.x(x)).y(([, y]) => this.y(y));
    return this.add("path", { class: name, d: path(points) ?? "" });
  }

  add(tag, attributes) {
    const element = drawn(tag, attributes);
    this.svg.append(element);
    return element;
  }

  across(value, name) {
    return this.add("line", { class: name, x1: LEFT, x2: WIDTH - RIGHT, y1: this.y(value), y2: this.y(value) });
  }
}
