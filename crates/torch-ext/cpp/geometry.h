// The shape of a tensor and the memory under it, for messages and for a later comparison.
#pragma once
#include <ATen/core/DimVector.h>
#include <ATen/core/Tensor.h>
#include <c10/util/StringUtil.h>

#include <string>

namespace torch_ext {

// Whether the tensor has sizes, strides and memory of its own kind: defined, not sparse, not in oneDNN's layout.
inline bool is_strided(const at::Tensor& tensor) {
  return tensor.defined() && !tensor.is_nested() && tensor.layout() == at::kStrided && tensor.has_storage();
}

// "Float [2, 3] on cpu"
inline std::string described(const at::Tensor& tensor) {
  if (!tensor.defined()) return "an undefined tensor";
  if (tensor.is_nested()) return "a nested tensor";
  std::string text = c10::str(tensor.scalar_type(), " ", tensor.sizes(), " on ", tensor.device());
  if (tensor.layout() != at::kStrided) text += c10::str(" in the layout ", tensor.layout());
  return text;
}

// "Float [2, 3] with strides [3, 1] on cpu"
inline std::string described_with_strides(const at::Tensor& tensor) {
  if (!is_strided(tensor)) return described(tensor);
  return c10::str(tensor.scalar_type(), " ", tensor.sizes(), " with strides ", tensor.strides(), " on ", tensor.device());
}

// The same values in strided memory, neither sparse nor in a view that is negated when it is read.
inline at::Tensor plain(const at::Tensor& tensor) {
  at::Tensor values = tensor.layout() == at::kStrided ? tensor : tensor.to_dense();
  if (values._is_zerotensor()) return at::zeros(values.sizes(), values.options());
  return values.resolve_conj().resolve_neg();
}

// The shape and memory of a tensor at one time. libtorch counts the writes to a tensor's values, but `set_data` and `resize_` change
// sizes and memory without being counted.
class Geometry {
 public:
  explicit Geometry(const at::Tensor& tensor)
      : sizes_(tensor.sizes()), kind_(tensor.scalar_type()), device_(tensor.device()), layout_(tensor.layout()) {
    if (!is_strided(tensor)) return;
    strides_ = tensor.strides();
    memory_ = tensor.storage().data();
    offset_ = tensor.storage_offset();
    negated_ = tensor.is_neg() || tensor.is_conj();
  }

  bool fits(const at::Tensor& tensor) const {
    if (!tensor.defined() || tensor.sizes() != at::IntArrayRef(sizes_) || tensor.scalar_type() != kind_ ||
        tensor.device() != device_ || tensor.layout() != layout_) {
      return false;
    }
    return !is_strided(tensor) ||
           (tensor.strides() == at::IntArrayRef(strides_) && tensor.storage().data() == memory_ &&
            tensor.storage_offset() == offset_ && (tensor.is_neg() || tensor.is_conj()) == negated_);
  }

  // In the form of described_with_strides().
  std::string text() const {
    return c10::str(kind_, " ", at::IntArrayRef(sizes_), " with strides ", at::IntArrayRef(strides_), " on ", device_);
  }

 private:
  at::DimVector sizes_, strides_;
  at::ScalarType kind_;
  at::Device device_;
  at::Layout layout_;
  const void* memory_ = nullptr;
  int64_t offset_ = 0;
  bool negated_ = false;
};

}  // namespace torch_ext
