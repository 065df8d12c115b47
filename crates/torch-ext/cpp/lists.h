// Lists of tensors as Rust passes them: the address of each, and how many.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace torch_ext {

using Pointers = at::Tensor* const*;

inline std::vector<at::Tensor> list(Pointers tensors, size_t count) {
  std::vector<at::Tensor> copies;
  copies.reserve(count);
  for (size_t i = 0; i < count; ++i) copies.push_back(*tensors[i]);
  return copies;
}

}  // namespace torch_ext
