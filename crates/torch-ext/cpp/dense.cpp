// Whether the numbers of a tensor lie where its sizes and strides say.
#include <ATen/EmptyTensor.h>
#include <ATen/TensorSubclassLikeUtils.h>
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

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

// For numbers that were written to by address: a backward pass that still needs the old ones is refused.
void torch_ext_bump_version(const at::Tensor* tensor) noexcept {
  if (tensor->defined()) tensor->unsafeGetTensorImpl()->bump_version();
}

// The address of what all handles of one tensor share.
const void* torch_ext_identity(const at::Tensor* tensor) noexcept { return tensor->unsafeGetTensorImpl(); }

bool torch_ext_grad_enabled() noexcept { return c10::GradMode::is_enabled(); }

}  // extern "C"
