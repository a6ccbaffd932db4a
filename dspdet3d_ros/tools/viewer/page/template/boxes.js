// Boxes: conversion from the contents of the page to lines, and selection under the pointer.

const GOLDEN_RATIO = 0.618033988749895;
const TRUTH_COLOUR = [0.25, 0.82, 1];

// Colour of a class number, red, green and blue in 0..1. It equals that of the markers in RViz.
function classColour(label) {
  const hue = (((label * GOLDEN_RATIO) % 1) + 1) % 1;
  return [5, 3, 1].map((shift) => {
    const sector = (shift + hue * 6) % 6;
    return 1 - 0.85 * clamp(Math.min(sector, 4 - sector), 0, 1);
  });
}

const css = (colour) => `rgb(${colour.map((part) => Math.round(255 * part)).join(" ")})`;

// numbers: centre, size and perhaps yaw in the frame of the cloud; origin: the middle of the scene in that frame.
// low and high are in the frame of the box, which is turned about its centre.
function makeBox(numbers, origin, rest) {
  const place = numbers.slice(0, 3);
  const size = numbers.slice(3, 6);
  const centre = add(place, origin, -1);
  return { place, size, centre, yaw: numbers[6] || 0, low: add(centre, size, -0.5), high: add(centre, size, 0.5), ...rest };
}

// The boxes of one run, best first.
function boxesOf(run, classes, origin) {
  return run.boxes.map((numbers, i) => {
    const label = run.labels[i];
    const [score, others] = [run.scores[i], run.others[i]];
    return makeBox(numbers, origin, { name: classes[label], score, others, colour: classColour(label) });
  });
}

function truthOf(truth, origin) {
  if (!truth) return [];
  return truth.boxes.map((numbers, i) => makeBox(numbers, origin, { name: truth.names[i], truth: true, colour: TRUTH_COLOUR }));
}

// A direction, turned about z by an angle.
function turned([x, y, z], angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [c * x - s * y, s * x + c * y, z];
}

// The twelve edges in the form that Drawing.setLines expects.
function edges(box, width, alpha) {
  const lines = [];
  const corner = (i) => {
    const local = [0, 1, 2].map((axis) => ((i >> axis) & 1 ? 0.5 : -0.5) * box.size[axis]);
    return add(box.centre, turned(local, box.yaw), 1);
  };
  for (let i = 0; i < 8; i++) {
    for (const bit of [1, 2, 4]) {
      if (!(i & bit)) lines.push(...corner(i), ...corner(i | bit), ...box.colour, alpha, width);
    }
  }
  return lines;
}

// Lines of a grid on the ground below a block of space, and the distance between them in metres.
function grid(low, high, colour) {
  const span = Math.max(high[0] - low[0], high[1] - low[1]);
  const step = [0.1, 1, 10, 100].find((metres) => span / metres <= 24) || 1000;
  const [first, last] = [low, high].map((corner, end) =>
    [0, 1].map((axis) => (end ? Math.ceil(corner[axis] / step) : Math.floor(corner[axis] / step)) * step));
  const lines = [];
  for (const axis of [0, 1]) {
    for (let i = 0; first[axis] + i * step <= last[axis] + step / 2; i++) {
      const [from, to] = [[...first, low[2]], [...last, low[2]]];
      from[axis] = to[axis] = first[axis] + i * step;
      lines.push(...from, ...to, ...colour, 1);
    }
  }
  return { lines, step };
}

// Distance at which a ray enters a box, in lengths of its direction; Infinity if it misses the box or starts inside.
function entry(eye, direction, box) {
  let [near, far] = [0, Infinity];
  for (let axis = 0; axis < 3; axis++) {
    const bounds = [box.low[axis], box.high[axis]].map((value) => (value - eye[axis]) / (direction[axis] || 1e-12));
    near = Math.max(near, Math.min(...bounds));
    far = Math.min(far, Math.max(...bounds));
  }
  return near > 0 && near <= far ? near : Infinity;
}

// The nearest box at a position in the view, or null.
function pick(camera, boxes, x, y) {
  const [eye, direction] = [camera.eye(), camera.ray(x, y)];
  let [best, least] = [null, Infinity];
  for (const box of boxes) {
    // In the frame of the box.
    const from = add(box.centre, turned(add(eye, box.centre, -1), -box.yaw), 1);
    const distance = entry(from, turned(direction, -box.yaw), box);
    if (distance < least) [best, least] = [box, distance];
  }
  return best;
}
