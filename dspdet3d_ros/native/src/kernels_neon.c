#if defined(__aarch64__)
#define KERNELS_NEON
#include "kernels.inc"
#include "pairs.inc"
#include "pair_gradient.inc"
#include "blocks.inc"
#include "block_gradient.inc"
#include "norm.inc"
#include "largest.inc"

KERNELS(neon);
#endif
