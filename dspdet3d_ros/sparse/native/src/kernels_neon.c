#if defined(__aarch64__)
#define KERNELS_NEON
#include "kernels.inc"

KERNELS(neon);
#endif
