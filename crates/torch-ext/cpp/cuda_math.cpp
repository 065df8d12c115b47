// How libtorch computes on a GPU: settings of the whole process, and the memory there is. A build without CUDA has them
// too.
#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <cstdint>

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

char* torch_ext_set_deterministic(bool wanted) {
  return guarded([&] {
    auto& context = at::globalContext();
    context.setDeterministicCuDNN(wanted);
    context.setBenchmarkCuDNN(false);
    context.setDeterministicAlgorithms(wanted, /*warn_only=*/false);
    // Otherwise every new tensor is filled, on a CPU too. No kernel of ours reads what nobody wrote.
    context.setDeterministicFillUninitializedMemory(false);
  });
}

char* torch_ext_free_memory(int index, uint64_t* bytes) {
  return guarded([&] {
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    *bytes = c10::getDeviceAllocator(c10::DeviceType::CUDA)->getMemoryInfo(static_cast<c10::DeviceIndex>(index)).first;
  });
}

}  // extern "C"
