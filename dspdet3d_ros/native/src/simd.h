/* Vectors of one instruction set: LANES floats in a `vec`, and VECTORS of them that a row's accumulators may take where
 * several rows are multiplied at once. `nonzero_lanes` has a bit for each float other than zero. */
#ifndef DSPDET3D_NATIVE_SIMD_H
#define DSPDET3D_NATIVE_SIMD_H

#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(KERNELS_AVX512)
#include <immintrin.h>
#define LANES 16
#define VECTORS 4
typedef __m512 vec;
INLINE vec load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void store(float *p, vec v) { _mm512_storeu_ps(p, v); }
INLINE vec splat(float x) { return _mm512_set1_ps(x); }
INLINE vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec subtract(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec multiply_add(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE uint64_t nonzero_lanes(vec v) { return _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ); }

#elif defined(KERNELS_AVX2)
#include <immintrin.h>
#define LANES 8
#define VECTORS 2
typedef __m256 vec;
INLINE vec load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void store(float *p, vec v) { _mm256_storeu_ps(p, v); }
INLINE vec splat(float x) { return _mm256_set1_ps(x); }
INLINE vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec subtract(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec multiply_add(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE uint64_t nonzero_lanes(vec v) {
  return (uint64_t)_mm256_movemask_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_NEQ_UQ));
}

#elif defined(KERNELS_NEON)
#include <arm_neon.h>
#define LANES 4
#define VECTORS 4
typedef float32x4_t vec;
INLINE vec load(const float *p) { return vld1q_f32(p); }
INLINE void store(float *p, vec v) { vst1q_f32(p, v); }
INLINE vec splat(float x) { return vdupq_n_f32(x); }
INLINE vec add(vec a, vec b) { return vaddq_f32(a, b); }
INLINE vec subtract(vec a, vec b) { return vsubq_f32(a, b); }
INLINE vec multiply_add(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
INLINE uint64_t nonzero_lanes(vec v) {
  const uint32_t bits[LANES] = {1, 2, 4, 8};
  return vaddvq_u32(vbicq_u32(vld1q_u32(bits), vceqzq_f32(v)));
}

#else
#define LANES 4
#define VECTORS 2
typedef struct {
  float lane[LANES];
} vec;
INLINE vec load(const float *p) {
  vec v;
  for (int i = 0; i < LANES; i++) v.lane[i] = p[i];
  return v;
}
INLINE void store(float *p, vec v) {
  for (int i = 0; i < LANES; i++) p[i] = v.lane[i];
}
INLINE vec splat(float x) {
  vec v;
  for (int i = 0; i < LANES; i++) v.lane[i] = x;
  return v;
}
INLINE vec add(vec a, vec b) {
  for (int i = 0; i < LANES; i++) a.lane[i] += b.lane[i];
  return a;
}
INLINE vec subtract(vec a, vec b) {
  for (int i = 0; i < LANES; i++) a.lane[i] -= b.lane[i];
  return a;
}
INLINE vec multiply_add(vec a, vec b, vec c) {
  for (int i = 0; i < LANES; i++) c.lane[i] += a.lane[i] * b.lane[i];
  return c;
}
INLINE uint64_t nonzero_lanes(vec v) {
  uint64_t bits = 0;
  for (int i = 0; i < LANES; i++) bits |= (uint64_t)(v.lane[i] != 0.0f) << i;
  return bits;
}
#endif

#endif
