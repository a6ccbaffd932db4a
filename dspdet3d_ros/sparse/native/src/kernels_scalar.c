#include "kernels.inc"
#include "blocks.inc"
#include "block_gradient.inc"
#include "norm.inc"

KERNELS(scalar);
