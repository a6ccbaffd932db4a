#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx2,fma")
#endif
#define KERNELS_AVX512
#include "kernels.inc"
#include "pairs.inc"
#include "pair_gradient.inc"
#include "blocks.inc"
#include "block_gradient.inc"
#include "norm.inc"
#include "largest.inc"

KERNELS(avx512);
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
