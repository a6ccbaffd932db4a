// Drawing of points and lines with WebGL 2.

const FLOATS_PER_LINE = 11;
const FEWEST_POINTS = 20000;
const FIRST_BUDGET = 150000;
const SLOW_MS = 45;
const FAST_MS = 24;

function compiled(gl, vertex, fragment, attributes) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  attributes.forEach((name, place) => gl.bindAttribLocation(program, place, name));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    const logs = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader));
    throw new Error([gl.getProgramInfoLog(program), ...logs].join(" "));
  }
  const places = {};
  for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(program, i);
    places[name] = gl.getUniformLocation(program, name);
  }
  return { program, places };
}

class Drawing {
  // points: { count, xyz: Uint16Array, rgb: Uint8Array or null, low, size, spacing }, lengths in metres.
  constructor(canvas, points) {
    this.canvas = canvas;
    this.points = points;
    this.budget = Math.min(FIRST_BUDGET, points.count);
    this.slowFrames = 0;
    this.plain = false;
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: false, powerPreference: "high-performance" });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.cloud = compiled(gl, POINT_VERTEX, POINT_FRAGMENT, ["place", "colour"]);
    this.screen = compiled(gl, SCREEN_VERTEX, SCREEN_FRAGMENT, []);
    this.line = compiled(gl, LINE_VERTEX, LINE_FRAGMENT, ["from", "to", "paint", "width"]);
    this.empty = gl.createVertexArray();
    this.cloudArrays = this.storePoints();
    this.groups = { grid: this.lineArrays(), boxes: this.lineArrays() };
    this.frame = gl.createFramebuffer();
    this.resize();
  }

  storePoints() {
    const { gl, points } = this;
    const arrays = gl.createVertexArray();
    gl.bindVertexArray(arrays);
    const columns = [[points.xyz, gl.UNSIGNED_SHORT], ...(points.rgb ? [[points.rgb, gl.UNSIGNED_BYTE]] : [])];
    columns.forEach(([values, type], place) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, type, true, 0, 0);
    });
    return arrays;
  }

  lineArrays() {
    const { gl } = this;
    const group = { arrays: gl.createVertexArray(), buffer: gl.createBuffer(), count: 0 };
    gl.bindVertexArray(group.arrays);
    gl.bindBuffer(gl.ARRAY_BUFFER, group.buffer);
    [[3, 0], [3, 3], [4, 6], [1, 10]].forEach(([length, start], place) => {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, length, gl.FLOAT, false, 4 * FLOATS_PER_LINE, 4 * start);
      gl.vertexAttribDivisor(place, 1);
    });
    return group;
  }

  // lines: flat numbers, for each line from x y z, to x y z, red green blue alpha (0..1), width in pixels.
  setLines(name, lines) {
    const { gl } = this;
    const group = this.groups[name];
    gl.bindBuffer(gl.ARRAY_BUFFER, group.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(lines), gl.DYNAMIC_DRAW);
    group.count = lines.length / FLOATS_PER_LINE;
  }

  // Fits the buffers to the canvas; returns false if nothing has changed.
  resize() {
    const { gl, canvas } = this;
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * this.ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * this.ratio));
    if (this.colours && canvas.width === width && canvas.height === height) return false;
    canvas.width = width;
    canvas.height = height;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    for (const old of [this.colours, this.depths]) if (old) gl.deleteTexture(old);
    this.colours = this.texture(gl.RGBA8, width, height, gl.COLOR_ATTACHMENT0);
    this.depths = this.texture(gl.DEPTH_COMPONENT24, width, height, gl.DEPTH_ATTACHMENT);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    return true;
  }

  texture(format, width, height, attachment) {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, attachment, gl.TEXTURE_2D, texture, 0);
    return texture;
  }

  // While the view moves, only as many points are drawn as the machine can draw smoothly. Points are in random order,
  // so the first n are an even sample. On a machine that stays slow (no graphics card), moving views have no shading.
  adapt(milliseconds) {
    if (milliseconds > SLOW_MS) {
      this.budget = Math.max(FEWEST_POINTS, this.budget * clamp(SLOW_MS / milliseconds, 0.3, 0.9));
      this.slowFrames++;
    } else if (milliseconds < FAST_MS) {
      this.budget *= 1.1;
      this.slowFrames = 0;
    }
    this.budget = Math.min(Math.round(this.budget), this.points.count);
    if (this.slowFrames >= 3) this.plain = true;
  }

  // look: { background, heights, cut, byHeight, pointSize }; moving: draw fewer points.
  draw(camera, radius, look, moving) {
    const { gl } = this;
    const [near, far] = camera.range(radius);
    const matrix = camera.matrix(radius);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.depthMask(true);
    gl.disable(gl.BLEND);
    this.drawCloud(matrix, look, moving ? this.budget : this.points.count);
    gl.clearColor(...look.background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.drawScreen(near, far, moving && this.plain ? 0 : 8);
    this.drawLines(matrix, near);
  }

  drawCloud(matrix, look, count) {
    const { gl, points } = this;
    const { program, places } = this.cloud;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (count) {
      gl.useProgram(program);
      gl.bindVertexArray(this.cloudArrays);
      gl.uniformMatrix4fv(places.view, false, matrix);
      gl.uniform3fv(places.low, points.low);
      gl.uniform3fv(places.size, points.size);
      gl.uniform2fv(places.heights, look.heights);
      gl.uniform1f(places.cut, look.cut);
      gl.uniform1f(places.byHeight, look.byHeight ? 1 : 0);
      // Points are wide enough that surfaces look closed, and wider if there are fewer of them. The limit bounds the time.
      const across = 1.5 * points.spacing * Math.min(2, Math.sqrt(points.count / count)) * look.pointSize;
      gl.uniform1f(places.spot, (across * this.canvas.height) / (2 * HALF_VIEW));
      gl.uniform1f(places.least, 1.5 * this.ratio);
      gl.drawArrays(gl.POINTS, 0, count);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  // neighbours: number of neighbours for the shading of a pixel; 0 on a slow machine.
  drawScreen(near, far, neighbours) {
    const { gl } = this;
    const { program, places } = this.screen;
    gl.useProgram(program);
    gl.bindVertexArray(this.empty);
    [this.colours, this.depths].forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    gl.uniform1i(places.colours, 0);
    gl.uniform1i(places.depths, 1);
    gl.uniform2f(places.range, near, far);
    gl.uniform1f(places.reach, 1.6 * this.ratio);
    gl.uniform1f(places.strength, 18);
    gl.uniform1i(places.neighbours, neighbours);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  drawLines(matrix, near) {
    const { gl } = this;
    const { program, places } = this.line;
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthMask(false);
    gl.uniformMatrix4fv(places.view, false, matrix);
    gl.uniform2f(places.viewport, this.canvas.width, this.canvas.height);
    gl.uniform1f(places.near, near);
    gl.uniform1f(places.ratio, this.ratio);
    // Edges lie on surfaces. A small offset towards the viewer keeps them visible.
    gl.uniform1f(places.nearer, 4e-4);
    this.drawGroup("grid", gl.LEQUAL, 1);
    // Edges behind the cloud are drawn faintly.
    this.drawGroup("boxes", gl.GREATER, 0.3);
    this.drawGroup("boxes", gl.LEQUAL, 1);
  }

  drawGroup(name, comparison, opacity) {
    const { gl } = this;
    const { arrays, count } = this.groups[name];
    if (!count) return;
    gl.depthFunc(comparison);
    gl.uniform1f(this.line.places.opacity, opacity);
    gl.bindVertexArray(arrays);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
  }
}
