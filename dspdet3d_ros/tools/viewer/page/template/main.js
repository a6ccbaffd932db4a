// The page: contents, state, and updates after a change of state.

const report = JSON.parse(byId("contents").textContent);
const origin = add(report.points.low, report.points.size, 0.5);
const local = (point) => add(point, origin, -1);
const view = report.view;
const room = { low: local(view.room_low), high: local(view.room_high) };
const radius = Math.max(1, ...[room.low, room.high, report.points.size].map((corner) => Math.sqrt(dot(corner, corner))));
const runs = report.runs.map((run) => boxesOf(run, report.classes, origin));
const truth = truthOf(report.truth, origin);

const best = Math.max(report.score, ...report.runs.flatMap((run) => run.scores));
const state = {
  run: report.runs.findIndex((run) => run.tau === report.tau),
  score: report.score,
  hovered: null,
  drawing: null,
};
const look = {
  background: [0, 0, 0],
  heights: [room.low[2], Math.max(room.high[2], room.low[2] + 0.01)],
  cut: Infinity,
  byHeight: !report.points.rgb,
  pointSize: 1,
};

const canvas = byId("view");
const labels = new Labels(byId("labels"));
const camera = new Camera(local(view.low), local(view.high), (view.azimuth_deg * Math.PI) / 180, (view.elevation_deg * Math.PI) / 180);
const scoreRange = [report.least_score, Math.min(1, Math.floor(best * 20 + 1) / 20)];
const histogram = new Histogram(...scoreRange);
const costs = new Costs(report, (run) => {
  state.run = run;
  showBoxes();
});
let rows = [];

function bytes(text) {
  const characters = atob(text);
  const values = new Uint8Array(characters.length);
  for (let i = 0; i < values.length; i++) values[i] = characters.charCodeAt(i);
  return values;
}

function startDrawing() {
  const { count, low, size, spacing, xyz, rgb } = report.points;
  const places = new Uint16Array(bytes(xyz).buffer);
  const points = { count, low: local(low), size, spacing, xyz: places, rgb: rgb ? bytes(rgb) : null };
  try {
    state.drawing = new Drawing(canvas, points);
  } catch (error) {
    byId("message").textContent = "The 3D view needs WebGL 2, which this browser does not offer " +
      `(${error.message}). Enable hardware acceleration or use another browser. Figures and boxes are in the panel.`;
    byId("message").hidden = false;
    document.body.dataset.view = "none";
    for (const id of ["help", "scale"]) byId(id).hidden = true;
  }
}

const found = () => runs[state.run].filter((box) => box.score >= state.score);
const shownTruth = () => (byId("show-truth").checked ? truth : []);

function showBoxes() {
  state.hovered = null;
  const boxes = found();
  byId("score-value").textContent = state.score.toFixed(2);
  byId("count").textContent = `${plural(boxes.length, "box")} at τ ${tauText(report.runs[state.run].tau)}`;
  costs.show(state.run, state.score);
  histogram.show(report.runs[state.run].scores, state.score);
  rows = listBoxes(boxes, { hover: (box) => hover(box), go });
  labels.set(byId("show-labels").checked ? [...boxes, ...shownTruth()] : []);
  hover(null);
  showLines();
}

function showLines() {
  if (!state.drawing) return;
  const lines = shownTruth().flatMap((box) => edges(box, box === state.hovered ? 4 : 1.6, 1));
  for (const box of found()) lines.push(...edges(box, box === state.hovered ? 4.5 : 2.4, 1));
  state.drawing.setLines("boxes", lines);
  redraw();
}

// x, y: position of the pointer in the view; without them no tip is shown.
function hover(box, x, y) {
  showTip(byId("tip"), x === undefined ? null : box, x, y);
  canvas.classList.toggle("over", Boolean(box));
  if (state.hovered === box) return;
  state.hovered = box;
  for (const entry of rows) entry.row.classList.toggle("hovered", entry.box === box);
  labels.hover(box);
  showLines();
}

const boxAt = (x, y) => pick(camera, [...found(), ...shownTruth()], (2 * x) / canvas.clientWidth - 1, 1 - (2 * y) / canvas.clientHeight);

function go(box) {
  if (!box) return;
  const margin = Math.max(0.25, 0.8 * Math.max(...box.size));
  camera.show(box.low.map((value) => value - margin), box.high.map((value) => value + margin));
  moved();
}

// A view counts as moving for this time after a move, or longer if frames take long.
const MOVING_MS = 200;
let [asked, movedAt, drawnAt, follows, lastMs] = [false, -Infinity, 0, false, 0];

function redraw() {
  if (asked || !state.drawing) return;
  asked = true;
  document.body.dataset.view = "drawing";
  requestAnimationFrame(frame);
}

function moved() {
  movedAt = performance.now();
  redraw();
}

function frame(now) {
  asked = false;
  // Consecutive frames show how fast this machine draws.
  lastMs = follows ? now - drawnAt : 0;
  if (follows) state.drawing.adapt(lastMs);
  drawnAt = now;
  const moving = performance.now() - movedAt < Math.max(MOVING_MS, 2 * lastMs);
  follows = moving;
  state.drawing.resize();
  camera.aspect = canvas.width / canvas.height;
  state.drawing.draw(camera, radius, look, moving);
  labels.place(camera, canvas.clientWidth, canvas.clientHeight);
  if (moving) redraw();
  else document.body.dataset.view = "resting";
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  look.background = theme === "dark" ? [0.07, 0.086, 0.11] : [0.965, 0.969, 0.976];
  if (!state.drawing) return;
  const ground = grid(room.low, room.high, theme === "dark" ? [1, 1, 1, 0.16] : [0, 0, 0, 0.16]);
  state.drawing.setLines("grid", ground.lines);
  byId("scale").textContent = `grid: ${ground.step} m`;
  redraw();
}

function connectSwitches() {
  const slider = byId("score");
  [slider.min, slider.max] = scoreRange;
  slider.value = state.score;
  slider.addEventListener("input", () => {
    state.score = Math.round(100 * slider.valueAsNumber) / 100;
    showBoxes();
  });
  for (const id of ["show-labels", "show-truth"]) byId(id).addEventListener("change", showBoxes);
  byId("truth-switch").hidden = !truth.length;
  byId("height-switch").hidden = !report.points.rgb;
  byId("by-height").addEventListener("change", (event) => {
    look.byHeight = event.target.checked;
    redraw();
  });
  byId("point-size").addEventListener("input", (event) => {
    look.pointSize = event.target.valueAsNumber;
    redraw();
  });
  const cut = byId("cut");
  const [bottom, top] = [report.points.low[2], report.points.low[2] + report.points.size[2]];
  byId("cut-switch").hidden = top - bottom < 0.1;
  [cut.min, cut.max] = [bottom, top];
  cut.value = view.cut === null ? top : view.cut;
  const applyCut = () => {
    const height = cut.valueAsNumber;
    look.cut = height >= top - 1e-6 ? Infinity : height - origin[2];
    byId("cut-value").textContent = look.cut === Infinity ? "—" : `${height.toFixed(2)} m`;
    redraw();
  };
  cut.addEventListener("input", applyCut);
  applyCut();
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
}

function press(key) {
  if (key === "r") camera.reset();
  else if (key === "t") camera.fromAbove(room.low, room.high);
  else if (key === "l") byId("show-labels").click();
  else return;
  moved();
}

const preferred = window.matchMedia("(prefers-color-scheme: dark)");
startDrawing();
setTheme(preferred.matches ? "dark" : "light");
preferred.addEventListener("change", () => setTheme(preferred.matches ? "dark" : "light"));
describe(report);
connectSwitches();
camera.aspect = canvas.clientWidth / Math.max(1, canvas.clientHeight);
camera.reset();
showBoxes();
control(canvas, camera, {
  moved,
  hover: (x, y) => hover(x === null ? null : boxAt(x, y), x === null ? undefined : x, y),
  go: (x, y) => go(boxAt(x, y)),
  key: press,
});
new ResizeObserver(redraw).observe(canvas);
canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
canvas.addEventListener("webglcontextrestored", () => {
  startDrawing();
  setTheme(document.documentElement.dataset.theme);
  showLines();
});
