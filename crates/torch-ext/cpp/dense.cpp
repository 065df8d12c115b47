// Whether the numbers of a tensor lie where its sizes and strides say.
#include <ATen/EmptyTensor.h>
#include <ATen/TensorSubclassLikeUtils.h>
#include <ATen/core/Tensor.h>

extern "C" {

// True where a CPU reads the tensor by address: strided, in memory of this process that covers all of it, and without a
// pending negation or conjugation.
bool torch_ext_is_dense(const at::Tensor* tensor) noexcept {
  try {
    if (!tensor->defined() || !tensor->device().is_cpu() || tensor->layout() != at::kStrided) return false;
    if (!tensor->has_storage() || at::isTensorSubclassLike(*tensor) || tensor->is_nested()) return false;
    if (tensor->is_neg() || tensor->is_conj() || tensor->_is_zerotensor()) return false;
    if (tensor->numel() == 0) return true;
    const size_t bytes = at::detail::computeStorageNbytes(tensor->sizes(), tensor->strides(), tensor->itemsize(),
                                                          tensor->storage_offset());
    return bytes <= tensor->storage().nbytes() && tensor->const_data_ptr() != nullptr;
  } catch (...) {
    // A tensor that cannot answer cannot be read either.
    return false;
  }
}

}  // extern "C"
