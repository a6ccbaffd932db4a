// Vectors, and a camera that orbits a point. z is up; coordinates are metres from the middle of the cloud.

const add = (a, b, factor = 1) => [a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const middleOf = (low, high) => add(low, add(high, low, -1), 0.5);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const HALF_VIEW = Math.tan(Math.PI / 8);
const MOST_ELEVATION = Math.PI / 2;

class Camera {
  // low, high: corners of the block of space in the first view; azimuth, elevation: direction of the viewer.
  constructor(low, high, azimuth, elevation) {
    this.start = { low, high, azimuth, elevation };
    this.aspect = 1;
    this.reset();
  }

  reset() {
    const { low, high, azimuth, elevation } = this.start;
    this.azimuth = azimuth;
    this.elevation = elevation;
    this.show(low, high);
  }

  // View straight down, x to the right and y up.
  fromAbove(low, high) {
    this.azimuth = -Math.PI / 2;
    this.elevation = MOST_ELEVATION;
    this.show(low, high);
  }

  // Moves the camera so that the whole block of space just fits into the view, centred.
  show(low, high) {
    const corners = Array.from({ length: 8 }, (_, i) => [0, 1, 2].map((axis) => ((i >> axis) & 1 ? high : low)[axis]));
    this.target = middleOf(low, high);
    // Perspective enlarges near corners, so centring needs a few iterations.
    for (let round = 0; round < 4; round++) {
      this.distance = Math.max(0.1, ...corners.map((corner) => this.needed(corner))) * 1.03;
      const projected = corners.map((corner) => this.project(corner));
      const middle = ["x", "y"].map((axis) => {
        const values = projected.map((point) => point[axis]);
        return (Math.min(...values) + Math.max(...values)) / 2;
      });
      this.shift(middle[0] * this.distance * this.tangents()[0], middle[1] * this.distance * this.tangents()[1]);
    }
    this.distance = Math.max(0.1, ...corners.map((corner) => this.needed(corner))) * 1.03;
  }

  // The distance from the target at which a point is just inside the view.
  needed(point) {
    const { right, up, forward } = this.axes();
    const [tanX, tanY] = this.tangents();
    const relative = add(point, this.target, -1);
    const wide = Math.max(Math.abs(dot(relative, right)) / tanX, Math.abs(dot(relative, up)) / tanY);
    return wide - dot(relative, forward);
  }

  axes() {
    const [ca, sa] = [Math.cos(this.azimuth), Math.sin(this.azimuth)];
    const [ce, se] = [Math.cos(this.elevation), Math.sin(this.elevation)];
    return { forward: [-ca * ce, -sa * ce, -se], right: [-sa, ca, 0], up: [-ca * se, -sa * se, ce] };
  }

  // Half the width and half the height of the view at a distance of 1.
  tangents() {
    return [HALF_VIEW * this.aspect, HALF_VIEW];
  }

  eye() {
    return add(this.target, this.axes().forward, -this.distance);
  }

  turn(azimuth, elevation) {
    this.azimuth += azimuth;
    this.elevation = clamp(this.elevation + elevation, -MOST_ELEVATION, MOST_ELEVATION);
  }

  // Moves the scene by fractions of the height of the view.
  pan(x, y) {
    const scale = 2 * HALF_VIEW * this.distance;
    this.shift(-x * scale, y * scale);
  }

  // Moves the camera to the right and up, in metres.
  shift(x, y) {
    const { right, up } = this.axes();
    this.target = add(add(this.target, right, x), up, y);
  }

  // The point at x, y (in -1..1) on the plane of the target keeps its position in the view.
  zoom(factor, x = 0, y = 0) {
    const [tanX, tanY] = this.tangents();
    const distance = clamp(this.distance * factor, 0.05, 5000);
    const moved = this.distance - distance;
    this.shift(x * tanX * moved, y * tanY * moved);
    this.distance = distance;
  }

  // Near and far plane for a scene of the given radius around the origin.
  range(radius) {
    const eye = this.eye();
    const far = Math.sqrt(dot(eye, eye)) + radius;
    return [Math.max(this.distance * 0.02, far * 1e-4), far * 1.05];
  }

  // Matrix from metres to clip space, in column-major order.
  matrix(radius) {
    const { right, up, forward } = this.axes();
    const [tanX, tanY] = this.tangents();
    const [near, far] = this.range(radius);
    const eye = this.eye();
    const depth = (far + near) / (far - near);
    const rows = [
      [...right.map((v) => v / tanX), -dot(right, eye) / tanX],
      [...up.map((v) => v / tanY), -dot(up, eye) / tanY],
      [...forward.map((v) => v * depth), -dot(forward, eye) * depth - (2 * far * near) / (far - near)],
      [...forward, -dot(forward, eye)],
    ];
    return new Float32Array([0, 1, 2, 3].flatMap((column) => rows.map((row) => row[column])));
  }

  // Position of a point in the view (-1..1, y up) and its depth; null for points behind the camera.
  project(point) {
    const { right, up, forward } = this.axes();
    const [tanX, tanY] = this.tangents();
    const relative = add(point, this.eye(), -1);
    const depth = dot(relative, forward);
    if (depth < 0.01) return null;
    return { x: dot(relative, right) / (depth * tanX), y: dot(relative, up) / (depth * tanY), depth };
  }

  // Direction of the ray through a position in the view.
  ray(x, y) {
    const { right, up, forward } = this.axes();
    const [tanX, tanY] = this.tangents();
    return add(add(forward, right, x * tanX), up, y * tanY);
  }
}
