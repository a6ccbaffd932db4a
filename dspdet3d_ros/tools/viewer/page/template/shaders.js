// Shader programs.

const POINT_VERTEX = `#version 300 es
precision highp float;
in vec3 place;
in vec3 colour;
uniform mat4 view;
uniform vec3 low, size;
uniform vec2 heights;
uniform float cut, spot, least, byHeight;
out vec3 shade;

vec3 ramp(float t) {
  vec3 a = vec3(0.19, 0.18, 0.47), b = vec3(0.13, 0.52, 0.60), c = vec3(0.38, 0.74, 0.42), d = vec3(0.98, 0.88, 0.36);
  float s = clamp(t, 0.0, 1.0) * 3.0;
  return s < 1.0 ? mix(a, b, s) : s < 2.0 ? mix(b, c, s - 1.0) : mix(c, d, s - 2.0);
}

void main() {
  vec3 metres = low + place * size;
  gl_Position = view * vec4(metres, 1.0);
  gl_PointSize = clamp(spot / gl_Position.w, least, 40.0);
  if (metres.z > cut) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  shade = mix(colour, ramp((metres.z - heights.x) / (heights.y - heights.x)), byHeight);
}`;

const POINT_FRAGMENT = `#version 300 es
precision mediump float;
in vec3 shade;
out vec4 result;
void main() { result = vec4(shade, 1.0); }`;

const SCREEN_VERTEX = `#version 300 es
void main() { gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0); }`;

// Darkens pixels behind their neighbours on the screen, so that edges and shapes are visible without normals
// (eye-dome lighting).
const SCREEN_FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D colours, depths;
uniform vec2 range;
uniform float reach, strength;
uniform int neighbours;
out vec4 result;

const vec2 around[8] = vec2[8](vec2(1, 0), vec2(-1, 0), vec2(0, 1), vec2(0, -1),
                               vec2(0.7, 0.7), vec2(-0.7, -0.7), vec2(0.7, -0.7), vec2(-0.7, 0.7));

float distanceAt(ivec2 pixel) {
  float depth = texelFetch(depths, pixel, 0).r;
  return log2(range.x * range.y / (range.y - depth * (range.y - range.x)));
}

void main() {
  ivec2 pixel = ivec2(gl_FragCoord.xy), last = textureSize(depths, 0) - 1;
  float depth = texelFetch(depths, pixel, 0).r;
  if (depth == 1.0) discard;
  float sum = 0.0;
  if (neighbours > 0) {
    float here = distanceAt(pixel);
    for (int i = 0; i < neighbours; i++) {
      ivec2 there = clamp(pixel + ivec2(round(around[i] * reach)), ivec2(0), last);
      sum += clamp(here - distanceAt(there), 0.0, 0.06);
    }
    sum /= float(neighbours);
  }
  result = vec4(texelFetch(colours, pixel, 0).rgb * exp(-strength * sum), 1.0);
  gl_FragDepth = depth;
}`;

// One instance per line: a strip of two triangles with the given width on the screen.
const LINE_VERTEX = `#version 300 es
precision highp float;
in vec3 from, to;
in vec4 paint;
in float width;
uniform mat4 view;
uniform vec2 viewport;
uniform float near, ratio, nearer;
out vec4 shade;

void main() {
  vec4 a = view * vec4(from, 1.0), b = view * vec4(to, 1.0);
  shade = paint;
  if (a.w < near && b.w < near) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
  if (a.w < near) a = mix(a, b, (near - a.w) / (b.w - a.w));
  if (b.w < near) b = mix(b, a, (near - b.w) / (a.w - b.w));
  vec2 along = (b.xy / b.w - a.xy / a.w) * viewport;
  along = length(along) > 1e-4 ? normalize(along) : vec2(1.0, 0.0);
  bool end = (gl_VertexID & 1) == 1;
  vec2 shift = vec2(-along.y, along.x) * (gl_VertexID < 2 ? 1.0 : -1.0) + along * (end ? 1.0 : -1.0);
  gl_Position = end ? b : a;
  gl_Position.xy += shift * width * ratio / viewport * gl_Position.w;
  gl_Position.z -= nearer * gl_Position.w;
}`;

const LINE_FRAGMENT = `#version 300 es
precision mediump float;
in vec4 shade;
uniform float opacity;
out vec4 result;
void main() { result = vec4(shade.rgb, shade.a * opacity); }`;
