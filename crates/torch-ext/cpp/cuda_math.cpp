// How libtorch computes on a GPU: settings of the whole process, which a build without CUDA has too.
#include <ATen/Context.h>

#include "guarded.h"

using torch_ext::guarded;

extern "C" {

char* torch_ext_set_tf32(bool allowed) {
  return guarded([&] {
    auto precision = allowed ? at::Float32Precision::TF32 : at::Float32Precision::IEEE;
    for (auto op : {at::Float32Op::CONV, at::Float32Op::MATMUL}) {
      at::globalContext().setFloat32Precision(at::Float32Backend::CUDA, op, precision);
    }
  });
}

}  // extern "C"
