#if defined(__aarch64__)
#define KERNELS_NEON
#include "kernels.inc"
#include "blocks.inc"
#include "block_gradient.inc"
#include "norm.inc"

KERNELS(neon);
#endif
