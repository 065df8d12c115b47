// at::cuda::CUDAGraph as plain functions. Compiled with the feature `cuda` only: it needs CUDA's own headers.
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <mutex>
#include <optional>

#include "guarded.h"

namespace {

using torch_ext::guarded;

// Work that is enqueued on `later` from now on waits for the work on `earlier`.
void order(c10::cuda::CUDAStream earlier, c10::cuda::CUDAStream later) {
  c10::Event event(c10::DeviceType::CUDA);
  event.record(earlier);
  event.block(later);
}

}  // namespace

struct TorchExtCudaGraph {
  explicit TorchExtCudaGraph(c10::DeviceIndex device)
      : side(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)) {}

  // Makes the side stream (and its device) the current one, after everything on the caller's.
  void enter() {
    TORCH_CHECK(!guard, "the side stream of this graph is in use already");
    order(c10::cuda::getCurrentCUDAStream(side.device_index()), side);
    guard.emplace(side.unwrap());
  }

  // Back to the caller's stream, which waits for the side stream.
  void leave() {
    guard.reset();
    order(side, c10::cuda::getCurrentCUDAStream(side.device_index()));
  }

  void capture_begin() {
    TORCH_CHECK(!graph, "this graph has been captured already");
    // What the warm-up left in the allocator's cache belongs to the side stream: the graph, which allocates from a
    // pool of its own, could not use it.
    c10::DeviceGuard on_device(side.device());
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    // A pool named here rather than by capture_begin, so that a capture that fails can be taken out of the allocator.
    pool = at::cuda::graph_pool_handle();
    graph = std::make_unique<at::cuda::CUDAGraph>();
    enter();
    try {
      graph->capture_begin(pool);
    } catch (...) {
      abandon_failed();
      throw;
    }
  }

  void capture_end() {
    try {
      graph->capture_end();
    } catch (...) {
      abandon_failed();
      throw;
    }
    guard.reset();
  }

  // Ends a capture whose work failed: as an ordinary one where CUDA still takes it for one. The recording is thrown
  // away.
  void capture_abandon() {
    if (!guard) return;
    try {
      capture_end();
      graph.reset();
    } catch (...) {
      // abandon_failed() has cleaned up, and the caller reports the failure of the work.
    }
  }

  // When CUDA refuses to begin or end a capture, libtorch's allocators keep calling a filter that points at the graph to
  // learn whether to allocate from its pool. So the pool is closed here, and the graph leaked on purpose: the filter
  // of the allocator of pinned memory stays.
  void abandon_failed() noexcept {
    guard.reset();
    try {
      // Nobody told the generator of random numbers that the capture is over, and it would refuse to draw. A copy of it
      // knows of no capture.
      auto generator = at::cuda::detail::getDefaultCUDAGenerator(side.device_index());
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.graphsafe_set_state(generator.clone());
    } catch (...) {
      // Random numbers stay refused, which says so when they are drawn.
    }
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(side.device_index(), pool);
      static_cast<void>(graph.release());
      c10::cuda::CUDACachingAllocator::releasePool(side.device_index(), pool);
    } catch (...) {
      // The pool had not been opened, or was closed in order: then the graph can clean up after itself.
      graph.reset();
    }
  }

  c10::cuda::CUDAStream side;
  // Engaged from enter() to leave(). It restores device and stream of the thread that entered: the Rust type stays on
  // its thread. Not a CUDAStreamGuard, which is inline and would have programs link CUDA's runtime themselves.
  std::optional<c10::StreamGuard> guard;
  std::unique_ptr<at::cuda::CUDAGraph> graph;
  at::cuda::MempoolId_t pool{0, 0};
};

extern "C" {

char* torch_ext_cuda_graph_new(int device, TorchExtCudaGraph** graph) {
  return guarded([&] { *graph = new TorchExtCudaGraph(static_cast<c10::DeviceIndex>(device)); });
}

char* torch_ext_cuda_graph_enter(TorchExtCudaGraph* graph) {
  return guarded([&] { graph->enter(); });
}

char* torch_ext_cuda_graph_leave(TorchExtCudaGraph* graph) {
  return guarded([&] { graph->leave(); });
}

char* torch_ext_cuda_graph_capture_begin(TorchExtCudaGraph* graph) {
  return guarded([&] { graph->capture_begin(); });
}

char* torch_ext_cuda_graph_capture_end(TorchExtCudaGraph* graph) {
  return guarded([&] { graph->capture_end(); });
}

char* torch_ext_cuda_graph_capture_abandon(TorchExtCudaGraph* graph) {
  return guarded([&] { graph->capture_abandon(); });
}

// Enqueues the recorded work on the current stream.
char* torch_ext_cuda_graph_replay(TorchExtCudaGraph* graph) {
  return guarded([&] {
    TORCH_CHECK(graph->graph, "nothing has been captured yet");
    graph->graph->replay();
  });
}

// Waits for the device first: a replay under way still uses the memory that goes back.
char* torch_ext_cuda_graph_free(TorchExtCudaGraph* graph) {
  return guarded([&] {
    std::unique_ptr<TorchExtCudaGraph> owned(graph);
    if (owned->graph) {
      c10::DeviceGuard on_device(owned->side.device());
      c10::cuda::device_synchronize();
    }
  });
}

}  // extern "C"
