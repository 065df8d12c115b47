// All kernels, as one image.
#include "depthwise.cu"
#include "max_pool.cu"
#include "norm.cu"
