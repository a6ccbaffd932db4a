#include "kernels.inc"

KERNELS(scalar);
