// Control of the camera by mouse, touch and keys.

const TURN_PER_PIXEL = 0.006;
const KEY_TURN = 0.12;

// on: { moved(), hover(x, y) with x, y in pixels or null, go(x, y), key(name) }.
function control(canvas, camera, on) {
  const held = new Map();
  const inView = (x, y) => [(2 * x) / canvas.clientWidth - 1, 1 - (2 * y) / canvas.clientHeight];

  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    canvas.classList.add("moving");
    on.hover(null);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      held.delete(event.pointerId);
      canvas.classList.toggle("moving", held.size > 0);
    });
  }
  canvas.addEventListener("pointerleave", () => on.hover(null));
  // Touch screens have no hover; a tap replaces it.
  canvas.addEventListener("click", (event) => on.hover(event.offsetX, event.offsetY));

  canvas.addEventListener("pointermove", (event) => {
    const now = { x: event.offsetX, y: event.offsetY };
    const before = held.get(event.pointerId);
    if (!before) return on.hover(now.x, now.y);
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    if (held.size === 2) pinch(event.pointerId, before, now);
    else if (event.buttons & 6 || event.shiftKey) camera.pan(dx / canvas.clientHeight, dy / canvas.clientHeight);
    else camera.turn(-dx * TURN_PER_PIXEL, dy * TURN_PER_PIXEL);
    held.set(event.pointerId, now);
    return on.moved();
  });

  function pinch(id, before, now) {
    const [, other] = [...held].find(([key]) => key !== id);
    const span = (point) => Math.max(Math.hypot(point.x - other.x, point.y - other.y), 10);
    camera.pan((now.x - before.x) / 2 / canvas.clientHeight, (now.y - before.y) / 2 / canvas.clientHeight);
    camera.zoom(span(before) / span(now), ...inView((now.x + other.x) / 2, (now.y + other.y) / 2));
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? 16 * event.deltaY : event.deltaY;
    camera.zoom(Math.exp(clamp(pixels, -300, 300) * 0.0015), ...inView(event.offsetX, event.offsetY));
    on.moved();
  }, { passive: false });

  canvas.addEventListener("dblclick", (event) => on.go(event.offsetX, event.offsetY));

  const turns = {
    ArrowLeft: [-KEY_TURN, 0], ArrowRight: [KEY_TURN, 0], ArrowUp: [0, KEY_TURN / 2], ArrowDown: [0, -KEY_TURN / 2],
  };
  const zooms = { "+": 0.85, "=": 0.85, "-": 1 / 0.85 };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const moves = turns[event.key] || zooms[event.key];
    if (!moves) on.key(event.key.toLowerCase());
    // A focused slider handles its keys itself.
    if (!moves || event.target.type === "range") return;
    if (turns[event.key]) camera.turn(...moves);
    else camera.zoom(moves);
    event.preventDefault();
    on.moved();
  });
}
