// The matrix micro-kernel under libtorch's attention: one block of a product on AMX or AVX-512, no threads, no checks.
#include <ATen/native/CPUBlas.h>

#include "guarded.h"

extern "C" {

// c[m, n] = a[m, k] * b[k, n] of bf16 numbers, added up in fp32; rows ld_a, ld_b and ld_c numbers apart.
// b holds pairs of rows interleaved, [k / 2, n, 2], as the dot-product instructions read it.
char* torch_ext_multiply_bf16(int64_t m, int64_t n, int64_t k, int64_t ld_a, int64_t ld_b, int64_t ld_c, const void* a,
                              const void* b, float* c) {
  return torch_ext::guarded([&] {
    at::native::cpublas::brgemm(m, n, k, ld_a, ld_b, ld_c, false, static_cast<const at::BFloat16*>(a),
                                static_cast<const at::BFloat16*>(b), c, true);
  });
}

// Gives the AMX tiles of this thread back; after the last product of a parallel region.
void torch_ext_release_matrix_unit() noexcept {
  try {
    at::native::cpublas::brgemm_release();
  } catch (...) {
    // There was nothing to release.
  }
}

}  // extern "C"
