// Copies from the CPU to a GPU that wait for neither side. Compiled with the feature `cuda` only.
#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <deque>
#include <memory>

#include "guarded.h"

using torch_ext::guarded;

struct TorchExtCudaUpload {
  TorchExtCudaUpload(c10::DeviceIndex device, size_t ahead)
      : stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)), ahead(ahead) {}

  at::Tensor upload(const at::Tensor& tensor) {
    const auto computing = c10::cuda::getCurrentCUDAStream(stream.device_index());
    wait_for_earlier(computing);
    // Pinned blocks come from libtorch's cache of them, which keeps each until its copy is done.
    const auto pinned = at::empty_like(tensor, tensor.options().pinned_memory(true)).copy_(tensor);
    at::Tensor copy;
    {
      c10::StreamGuard guard(stream.unwrap());
      copy = pinned.to(stream.device(), tensor.scalar_type(), /*non_blocking=*/true, /*copy=*/true);
    }
    c10::Event copied(c10::DeviceType::CUDA);
    copied.record(stream.unwrap());
    copied.block(computing.unwrap());
    // Its memory belongs to the copying stream, which must not have it back before it was read.
    copy.record_stream(computing.unwrap());
    return copy;
  }

  // Bounds how far the CPU runs ahead, and with it the memory of uploads under way.
  void wait_for_earlier(c10::cuda::CUDAStream computing) {
    marks.emplace_back(c10::DeviceType::CUDA);
    marks.back().record(computing.unwrap());
    if (marks.size() <= ahead) return;
    marks.front().synchronize();
    marks.pop_front();
  }

  c10::cuda::CUDAStream stream;
  // Places in the computing stream, one for each upload that may still be under way.
  std::deque<c10::Event> marks;
  size_t ahead;
};

extern "C" {

char* torch_ext_cuda_upload_new(int device, size_t ahead, TorchExtCudaUpload** upload) {
  return guarded([&] { *upload = new TorchExtCudaUpload(static_cast<c10::DeviceIndex>(device), ahead); });
}

char* torch_ext_cuda_upload(TorchExtCudaUpload* upload, at::Tensor* const* tensor, at::Tensor** copy) {
  return guarded([&] {
    TORCH_CHECK((*tensor)->defined() && (*tensor)->is_cpu() && (*tensor)->layout() == at::kStrided,
                "expected a tensor in the memory of the CPU");
    *copy = new at::Tensor(upload->upload((*tensor)->detach()));
  });
}

char* torch_ext_cuda_upload_free(TorchExtCudaUpload* upload) {
  return guarded([&] { delete upload; });
}

}  // extern "C"
