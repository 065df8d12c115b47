// The checks of calls over lists of tensors, before the first number is written.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <vector>

#include "geometry.h"

namespace torch_ext {

// "gradient 3": the place of a tensor in the call, for messages.
struct Place {
  const char* list;
  size_t index;
};

inline std::ostream& operator<<(std::ostream& out, const Place& place) {
  return out << place.list << " " << place.index;
}

// Real floating-point numbers in memory, on a device that has some.
inline void check_floats(Place place, const at::Tensor& tensor) {
  TORCH_CHECK(is_strided(tensor) && !tensor.is_meta() && at::isFloatingType(tensor.scalar_type()) && !tensor.is_neg() &&
                  !tensor._is_zerotensor(),
              "expected ", place, " of floating-point numbers in memory, got ", described(tensor),
              tensor.defined() && tensor.is_neg() ? ", a view that is negated when it is read" : "");
}

// As check_floats(), and each number at a place of its own without gaps between them: kernels that walk memory from the
// first number to the last stay inside.
inline void check_dense(Place place, const at::Tensor& tensor) {
  check_floats(place, tensor);
  TORCH_CHECK(tensor.is_non_overlapping_and_dense(), "expected ", place, " without gaps or repetition in memory, got ",
              described_with_strides(tensor));
}

// Shape, kind and device are those of `model`.
inline void check_like(Place place, const at::Tensor& tensor, const char* model_name, const at::Tensor& model) {
  TORCH_CHECK(is_strided(tensor) && tensor.sizes() == model.sizes() && tensor.scalar_type() == model.scalar_type() &&
                  tensor.device() == model.device(),
              "expected ", place, " to be ", described(model), " as its ", model_name, " is, got ", described(tensor));
}

// Whether the numbers of two tensors of one shape lie in the same order. The stride of a single row means nothing.
inline bool same_order(const at::Tensor& a, const at::Tensor& b) {
  for (int64_t axis = 0; axis < a.dim(); ++axis) {
    if (a.size(axis) > 1 && a.stride(axis) != b.stride(axis)) return false;
  }
  return true;
}

// As check_like() and check_floats(), and the numbers lie in the order of the model's.
inline void check_laid_out_like(Place place, const at::Tensor& tensor, const char* model_name, const at::Tensor& model) {
  check_like(place, tensor, model_name, model);
  check_floats(place, tensor);
  TORCH_CHECK(same_order(tensor, model), "expected ", place, " to be ", described_with_strides(model), " as its ",
              model_name, " is, got ", described_with_strides(tensor));
}

// A scalar that a kernel reads as float.
inline void check_scalar(const char* name, const at::Tensor& tensor, const at::Device& device) {
  TORCH_CHECK(is_strided(tensor) && tensor.dim() == 0 && tensor.scalar_type() == at::kFloat &&
                  tensor.device() == device && !tensor.is_neg() && !tensor._is_zerotensor(),
              "expected ", name, " as one Float [] on ", device, ", got ", described(tensor));
}

// The stretches of memory that a call reads and writes. No written one may touch another.
class Memory {
 public:
  void reads(Place place, const at::Tensor& tensor) { add(place, tensor, false); }
  void writes(Place place, const at::Tensor& tensor) { add(place, tensor, true); }

  void check() {
    std::sort(stretches_.begin(), stretches_.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
    // Of those that begin earlier, the one that ends last, and the written one that does.
    const Stretch *last = nullptr, *last_written = nullptr;
    for (const auto& stretch : stretches_) {
      const Stretch* before = stretch.written ? last : last_written;
      TORCH_CHECK(!before || before->end <= stretch.begin, "expected memory of its own for each tensor that is written, got ",
                  before->place, " and ", stretch.place, " in the same");
      if (!last || stretch.end > last->end) last = &stretch;
      if (stretch.written && (!last_written || stretch.end > last_written->end)) last_written = &stretch;
    }
  }

 private:
  struct Stretch {
    const char *begin, *end;
    Place place;
    bool written;
  };

  // Tensors with gaps are left out: they may interleave, and only kernels of libtorch that look at strides take them.
  void add(Place place, const at::Tensor& tensor, bool written) {
    if (tensor.numel() == 0 || !tensor.is_non_overlapping_and_dense()) return;
    const auto* begin = static_cast<const char*>(tensor.const_data_ptr());
    stretches_.push_back({begin, begin + tensor.nbytes(), place, written});
  }

  std::vector<Stretch> stretches_;
};

}  // namespace torch_ext
