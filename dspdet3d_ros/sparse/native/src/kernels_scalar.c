#include "kernels.inc"
#include "blocks.inc"
#include "norm.inc"

KERNELS(scalar);
