// The panel next to the view: cost of each pruning threshold, score slider, list of boxes.

const byId = (id) => document.getElementById(id);
const BINS = 40;
const STAGE_HUES = [210, 175, 265, 320, 350, 25, 45, 95];

function made(kind, text = "", className = "") {
  const element = document.createElement(kind);
  element.textContent = text;
  element.className = className;
  return element;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : word.endsWith("x") ? "es" : "s"}`;
const grouped = (count) => count.toLocaleString("en-US");
const compact = (count) => (count < 10000 ? grouped(count) : count < 1e6 ? `${Math.round(count / 1000)}k` : `${(count / 1e6).toFixed(1)}M`);
const inTime = (ms) => (ms < 10000 ? `${grouped(Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`);
const centimetres = (length) => `${Number((100 * length).toPrecision(3))} cm`;
const tauText = (tau) => String(Number(tau.toFixed(3)));
const seen = (run, score) => run.scores.filter((value) => value >= score).length;

function describe(report) {
  byId("name").textContent = report.name;
  const { total, count } = report.points;
  const thinned = count < total ? ` (${grouped(count)} shown)` : "";
  byId("about").textContent = `${grouped(total)} points${thinned}, ${grouped(report.voxels)} voxels · model ` +
    `${report.model} on ${report.device}, ${report.backend}`;
  byId("doubts").replaceChildren(...report.doubts.map((text) => made("li", text)));
}

class Costs {
  // choose: called with the number of a run.
  constructor(report, choose) {
    this.report = report;
    const head = made("tr");
    head.append(...["τ", ...report.cells_m.map(centimetres), "time", "boxes"].map((text) => made("th", text)));
    byId("costs").tHead.append(head);
    const rows = report.runs.map((run) => this.row(run));
    byId("costs").tBodies[0].append(...rows);
    this.buttons = report.runs.map((run) => made("button", tauText(run.tau)));
    byId("taus").append(...this.buttons);
    [...rows, ...this.buttons].forEach((element, i) => {
      element.addEventListener("click", () => choose(i % rows.length));
    });
    this.buttons.forEach((button) => (button.type = "button"));
    this.rows = rows;
  }

  row(run) {
    const row = made("tr");
    const { runs } = this.report;
    const cell = (text, value, most, exact) => {
      const element = made("td", text);
      if (exact) element.title = exact;
      const share = most ? (100 * value) / most : 0;
      element.style.backgroundImage = "linear-gradient(var(--bar), var(--bar))";
      element.style.backgroundSize = `${share}% 78%`;
      return element;
    };
    row.append(made("td", tauText(run.tau)));
    run.kept.forEach((kept, level) => {
      const most = Math.max(...runs.map((other) => other.kept[level]));
      row.append(cell(compact(kept), kept, most, `${grouped(kept)} cells`));
    });
    const slowest = Math.max(...runs.map((other) => other.total_ms));
    row.append(cell(inTime(run.total_ms), run.total_ms, slowest), made("td"));
    return row;
  }

  show(chosen, score) {
    this.rows.forEach((row, i) => {
      row.classList.toggle("chosen", i === chosen);
      row.lastChild.textContent = grouped(seen(this.report.runs[i], score));
      this.buttons[i].setAttribute("aria-pressed", String(i === chosen));
    });
    const run = this.report.runs[chosen];
    const hue = (i) => `hsl(${STAGE_HUES[i % STAGE_HUES.length]} 60% 55%)`;
    byId("stages").replaceChildren(...run.stage_ms.map(([name, ms], i) => {
      const part = made("i");
      part.style.background = hue(i);
      part.style.width = `${(100 * ms) / run.total_ms}%`;
      part.title = `${name}: ${inTime(ms)}`;
      return part;
    }));
    const names = run.stage_ms.map(([name, ms], i) => {
      const label = made("span");
      const colour = made("i");
      colour.style.background = hue(i);
      label.append(colour, `${name} ${Math.round(ms)}`);
      return label;
    });
    const dropped = run.dropped ? `max_cells_per_level dropped ${grouped(run.dropped)} cells. ` : "";
    byId("stage-names").replaceChildren(dropped, ...names, " ms");
  }
}

// Histogram of the scores, above the slider for the score threshold.
class Histogram {
  constructor(low, high) {
    this.low = low;
    this.high = high;
    this.bars = Array.from({ length: BINS }, () => made("i"));
    byId("histogram").append(...this.bars);
  }

  show(scores, least) {
    const width = (this.high - this.low) / BINS;
    const counts = this.bars.map(() => 0);
    for (const score of scores) if (score >= this.low) counts[Math.min(BINS - 1, Math.floor((score - this.low) / width))]++;
    const most = Math.max(1, ...counts);
    this.bars.forEach((bar, i) => {
      bar.style.height = counts[i] ? `${8 + (92 * counts[i]) / most}%` : "0";
      bar.classList.toggle("over", this.low + (i + 0.5) * width >= least);
    });
  }
}

// on: { hover(box or null), go(box) }.
function listBoxes(boxes, on) {
  const rows = boxes.map((box) => {
    const row = made("li");
    const colour = made("i");
    colour.style.background = css(box.colour);
    const name = made("span", box.name);
    name.title = box.name;
    row.append(colour, name, made("small", `${metres(box.size, 2).join(" × ")} m`), made("b", box.score.toFixed(2)));
    row.addEventListener("pointerenter", () => on.hover(box));
    row.addEventListener("pointerleave", () => on.hover(null));
    row.addEventListener("click", () => on.go(box));
    return { box, row };
  });
  byId("list").replaceChildren(...rows.map(({ row }) => row));
  return rows;
}
