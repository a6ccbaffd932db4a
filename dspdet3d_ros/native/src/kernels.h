#ifndef DSPDET3D_NATIVE_KERNELS_H
#define DSPDET3D_NATIVE_KERNELS_H

#include "native.h"

/* What is compiled once for each instruction set. */
struct kernels {
  int lanes; /* floats in a vector: packed weights have a multiple of it as columns */
  void (*pack)(const float *weight, int volume, int c_in, int c_out, int transposed, float *packed);
  int (*convolve)(const struct native_convolution *convolution, int threads);
  void (*pack_blocks)(const float *weight, int c_in, int c_out, int transposed, float *packed);
  int (*convolve_blocks)(const struct native_block_convolution *convolution, int threads);
  int (*block_weight_gradient)(const struct native_block_weight_gradient *gradient, int threads);
  int (*weight_gradient)(const struct native_weight_gradient *gradient, int threads);
  int (*norm)(const struct native_norm *norm, int threads);
  int (*norm_gradient)(const struct native_norm_gradient *gradient, int threads);
  int (*largest_logits)(const struct native_predictions *predictions, int threads);
};

extern const struct kernels kernels_scalar, kernels_avx2, kernels_avx512, kernels_neon;

#endif
