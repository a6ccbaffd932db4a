// Labels with class and score above the boxes, and details of the box under the pointer.

const LABEL_HEIGHT = 21;
const MOST_LABELS = 150;

class Labels {
  constructor(holder) {
    this.holder = holder;
    this.shown = [];
  }

  // boxes: best first; earlier boxes have priority.
  set(boxes) {
    this.shown = boxes.slice(0, MOST_LABELS).map((box) => {
      const element = document.createElement("span");
      element.textContent = box.name;
      if (!box.truth) element.append(small(box.score.toFixed(2)));
      element.style.borderColor = css(box.colour);
      return { box, element };
    });
    this.holder.replaceChildren(...this.shown.map(({ element }) => element));
    for (const label of this.shown) label.width = label.element.offsetWidth;
  }

  hover(box) {
    for (const label of this.shown) label.element.classList.toggle("hovered", label.box === box);
  }

  // Places each label above its box, or further up or below, and hides labels without free space.
  place(camera, width, height) {
    const taken = [];
    const free = ({ left, upper, across }) =>
      left > -across && left < width && upper > -LABEL_HEIGHT && upper < height &&
      !taken.some((other) => left < other.left + other.across && other.left < left + across &&
        Math.abs(upper - other.upper) < LABEL_HEIGHT);
    for (const { box, element, width: across } of this.shown) {
      const position = candidates(camera, box, across, width, height).find(free);
      element.hidden = !position;
      if (!position) continue;
      taken.push(position);
      element.style.transform = `translate(${position.left}px, ${position.upper}px)`;
    }
  }
}

function candidates(camera, box, across, width, height) {
  const [x, y] = box.centre;
  const [top, bottom] = [box.high[2], box.low[2]].map((z) => camera.project([x, y, z]));
  if (!top || !bottom) return [];
  const left = Math.round(((top.x + 1) / 2) * width - across / 2);
  const above = Math.round(((1 - top.y) / 2) * height - LABEL_HEIGHT - 4);
  const below = Math.round(((1 - bottom.y) / 2) * height + 6);
  return [above, above - LABEL_HEIGHT, above - 2 * LABEL_HEIGHT, below, below + LABEL_HEIGHT]
    .map((upper) => ({ left, upper, across }));
}

function small(text) {
  const element = document.createElement("small");
  element.textContent = text;
  return element;
}

const metres = (values, digits) => values.map((value) => value.toFixed(digits));

// Fills the tip with the details of a box and places it next to x, y; hides it if box is null.
function showTip(tip, box, x, y) {
  tip.hidden = !box;
  if (!box) return;
  const name = document.createElement("b");
  name.textContent = box.name;
  const facts = document.createElement("dl");
  const rows = [
    box.truth ? ["", "ground truth"] : ["score", box.score.toFixed(2)],
    ["size", `${metres(box.size, 2).join(" × ")} m`],
    ["centre", `${metres(box.place, 2).join("  ")} m`],
  ];
  const others = (box.others || []).map(([name, score]) => `${name} ${score.toFixed(2)}`);
  if (others.length) rows.splice(1, 0, ["or", others.join(", ")]);
  for (const [head, text] of rows) {
    const [term, detail] = ["dt", "dd"].map((kind) => document.createElement(kind));
    term.textContent = head;
    detail.textContent = text;
    facts.append(term, detail);
  }
  tip.replaceChildren(name, facts);
  const { clientWidth, clientHeight } = tip.parentElement;
  const left = x + 16 + tip.offsetWidth > clientWidth ? x - 12 - tip.offsetWidth : x + 16;
  const top = Math.min(y + 14, clientHeight - tip.offsetHeight - 6);
  tip.style.transform = `translate(${Math.max(left, 4)}px, ${Math.max(top, 4)}px)`;
}
