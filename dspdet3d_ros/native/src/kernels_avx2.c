#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define KERNELS_AVX2
#include "kernels.inc"
#include "pairs.inc"
#include "pair_gradient.inc"
#include "blocks.inc"
#include "block_gradient.inc"
#include "norm.inc"
#include "largest.inc"

KERNELS(avx2);
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
