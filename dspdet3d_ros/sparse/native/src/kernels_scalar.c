#include "kernels.inc"
#include "norm.inc"

KERNELS(scalar);
