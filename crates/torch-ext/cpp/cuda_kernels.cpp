// The kernels of ../cuda/ on tensors of libtorch. Compiled with the feature `gpu-kernels` only.
//
// CUDA's runtime is the one that libtorch has loaded: its functions are looked up by name, so that a program links nothing
// of CUDA itself.
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>

#include "geometry.h"
#include "guarded.h"

namespace {

using torch_ext::guarded;

// Threads of a block.
constexpr int kThreads = 256;
// Threads of a block that have neighbouring channels.
constexpr int kAcross = 32;
// Rows of a strip of the depthwise kernels, and its columns in either pass.
constexpr int kRows = 40, kColumnsForward = 4, kColumnsBackward = 2;
// Blocks that a kernel with sums is divided into at most: each writes sums of its own. Two for each multiprocessor of an H200,
// as many as it runs at once.
constexpr int kBlocks = 264;

// Nothing else here needs a symbol of libtorch_cuda, and a linker leaves libraries out that nothing needs: then libtorch has
// no GPU. It is read below, or a linker would leave it out, too.
auto* volatile libtorch_cuda = &at::cuda::detail::getDefaultCUDAGenerator;

template <typename Function>
Function* runtime(const char* name) {
  auto* function = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
  TORCH_CHECK(function, "expected CUDA's runtime 12 or newer beside libtorch, got one without ", name);
  return function;
}

void check(cudaError_t error, const char* name) {
  TORCH_CHECK(error == cudaSuccess, name, ": ", runtime<decltype(cudaGetErrorString)>("cudaGetErrorString")(error));
}

// The kernels by name, loaded once. CUDA keeps them for all devices.
class Kernels {
 public:
  const void* get(const void* image, const std::string& name) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = kernels_.find(name);
    if (found != kernels_.end()) return found->second;
    if (!library_) {
      check(runtime<decltype(cudaLibraryLoadData)>("cudaLibraryLoadData")(&library_, image, nullptr, nullptr, 0, nullptr,
                                                                          nullptr, 0),
            "the kernels cannot be loaded");
    }
    cudaKernel_t kernel;
    check(runtime<decltype(cudaLibraryGetKernel)>("cudaLibraryGetKernel")(&kernel, library_, name.c_str()), name.c_str());
    return kernels_.emplace(name, reinterpret_cast<const void*>(kernel)).first->second;
  }

  static Kernels& instance() {
    static auto* kernels = new Kernels();
    return *kernels;
  }

 private:
  std::mutex mutex_;
  cudaLibrary_t library_ = nullptr;
  std::map<std::string, const void*> kernels_;
};

template <typename... Arguments>
void launch(const void* image, const std::string& name, dim3 grid, dim3 block, size_t shared, const at::Tensor& on,
            Arguments... arguments) {
  static auto* launch_kernel =
      runtime<cudaError_t(const void*, dim3, dim3, void**, size_t, cudaStream_t)>("cudaLaunchKernel");
  void* list[] = {&arguments...};
  const auto stream = c10::cuda::getCurrentCUDAStream(on.device().index()).stream();
  check(launch_kernel(Kernels::instance().get(image, name), grid, block, list, shared, stream), name.c_str());
}

struct Sizes {
  int n, h, w, c;
  explicit Sizes(const at::Tensor& map)
      : n(int(map.size(0))), h(int(map.size(2))), w(int(map.size(3))), c(int(map.size(1))) {}
};

int parts_of(int64_t count, int64_t each) { return int((count + each - 1) / each); }

at::Tensor like(const at::Tensor& map, at::IntArrayRef sizes, at::ScalarType kind) {
  return at::empty(sizes, map.options().dtype(kind), at::MemoryFormat::ChannelsLast);
}

// The grid of a kernel whose threads have `per_thread` channels and some of `items`.
struct Grid {
  dim3 grid, block;
  Grid(int c, int per_thread, int64_t items, int threads, int blocks) {
    const int groups = parts_of(c, per_thread), across = std::min(kAcross, groups);
    block = dim3(across, threads / across);
    const int beside = parts_of(groups, across);
    grid = dim3(beside, std::clamp(parts_of(items, block.y), 1, std::max(1, blocks / beside)));
  }
  size_t shared(int numbers) const { return size_t(numbers) * block.x * block.y * sizeof(float); }
};

int64_t strips(const Sizes& sizes, int columns) {
  return int64_t(sizes.n) * parts_of(sizes.w, columns) * parts_of(sizes.h, kRows);
}

std::string depthwise(const char* pass, bool relu) {
  return std::string("depthwise_") + pass + (relu ? "_relu" : "");
}

const at::BFloat16* read(const at::Tensor& tensor) { return tensor.const_data_ptr<at::BFloat16>(); }

at::BFloat16* written(const at::Tensor& tensor) { return tensor.mutable_data_ptr<at::BFloat16>(); }

// As in ../cuda/max_pool.cu.
struct Pool {
  int n, h, w, c, out_h, out_w, kernel, stride, above, left;
};

// The kernel for windows of 3x3 and stride 2, which is all that Xception has, or the one for any.
std::string pool_name(const char* pass, const Pool& pool) {
  return std::string("max_pool_") + pass + (pool.kernel == 3 && pool.stride == 2 ? "_3_2" : "");
}

// Whether the device runs the kernels: their oldest form is for compute capability 8.0.
bool runs_kernels(c10::DeviceIndex device) {
  static std::mutex mutex;
  static std::map<c10::DeviceIndex, bool> known;
  std::lock_guard<std::mutex> lock(mutex);
  const auto found = known.find(device);
  if (found != known.end()) return found->second;
  int major = 0;
  check(runtime<decltype(cudaDeviceGetAttribute)>("cudaDeviceGetAttribute")(&major, cudaDevAttrComputeCapabilityMajor, device),
        "the device's compute capability");
  return known.emplace(device, major >= 8).first->second;
}

// Channels are few enough that nine for each are an int.
constexpr int64_t kMostChannels = int64_t(1) << 16;

bool covered(const at::Tensor& map) {
  return torch_ext::is_strided(map) && map.is_cuda() && map.dim() == 4 && map.scalar_type() == at::kBFloat16 &&
         !map._is_zerotensor() && map.size(1) % 8 == 0 && map.size(1) <= kMostChannels && runs_kernels(map.device().index()) && map.numel() > 0 && map.numel() / map.size(1) < (int64_t(1) << 30) && !map.is_neg() &&
         map.is_contiguous(at::MemoryFormat::ChannelsLast) && reinterpret_cast<uintptr_t>(map.const_data_ptr()) % 16 == 0;
}

void check_covered(const at::Tensor& map) {
  TORCH_CHECK(covered(map), "expected a channels-last map of bf16 on a GPU, got ", torch_ext::described(map));
}

// The grid of a max-pool: a row of blocks for each row of pixels of `h` by `w`, with eight channels for each thread.
dim3 lines(int n, int h, int w, int c) {
  return dim3(parts_of(int64_t(w) * (c / 8), kThreads), unsigned(std::min<int64_t>(int64_t(n) * h, 65535)));
}

// A gradient as the kernels read it.
at::Tensor laid_out(const at::Tensor& gradient, const at::Tensor& like) {
  TORCH_CHECK(torch_ext::is_strided(gradient) && gradient.device() == like.device(), "expected a gradient on ", like.device(),
              ", got ", torch_ext::described(gradient));
  auto plain = torch_ext::plain(gradient).to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
  return reinterpret_cast<uintptr_t>(plain.const_data_ptr()) % 16 == 0 ? plain : plain.clone();
}

void check_kernels(const at::Tensor& kernels, const at::Tensor& map) {
  TORCH_CHECK(torch_ext::is_strided(kernels) && kernels.scalar_type() == at::kBFloat16 && kernels.device() == map.device() &&
                  kernels.sizes() == at::IntArrayRef({map.size(1), 1, 3, 3}) && kernels.is_contiguous() && !kernels.is_neg() &&
                  !kernels._is_zerotensor(),
              "expected kernels [", map.size(1), ", 1, 3, 3] of bf16 on ", map.device(), ", got ",
              torch_ext::described(kernels));
}

}  // namespace

extern "C" {

bool torch_ext_cuda_covers(const at::Tensor* map) noexcept {
  try {
    return libtorch_cuda && map->defined() && covered(*map);
  } catch (...) {
    // A map that cannot answer cannot be read either.
    return false;
  }
}

char* torch_ext_cuda_depthwise_forward(const void* image, const at::Tensor* map, const at::Tensor* kernels, bool relu,
                                       at::Tensor** result) {
  return guarded([&] {
    check_covered(*map);
    check_kernels(*kernels, *map);
    const c10::DeviceGuard guard(map->device());
    const Sizes sizes(*map);
    auto ys = like(*map, map->sizes(), at::kBFloat16);
    // There are no sums, so that there may be as many blocks as there are strips.
    const Grid grid(sizes.c, 4, strips(sizes, kColumnsForward), kThreads, 64 * kBlocks);
    launch(image, depthwise("forward", relu), grid.grid, grid.block, 0, *map, read(*map), read(*kernels),
           written(ys), sizes.n, sizes.h, sizes.w, sizes.c, kRows);
    *result = new at::Tensor(ys);
  });
}

// The gradients of the map, where it is asked for, and of the kernels.
char* torch_ext_cuda_depthwise_backward(const void* image, const at::Tensor* map, const at::Tensor* kernels,
                                        const at::Tensor* gradient, bool relu, bool of_map, at::Tensor** map_gradient,
                                        at::Tensor** kernel_gradient) {
  return guarded([&] {
    check_covered(*map);
    check_kernels(*kernels, *map);
    TORCH_CHECK(gradient->sizes() == map->sizes(), "expected a gradient of the map's shape, got ",
                torch_ext::described(*gradient));
    const c10::DeviceGuard guard(map->device());
    const Sizes sizes(*map);
    const auto pulled = laid_out(*gradient, *map);
    auto inputs = of_map ? like(*map, map->sizes(), at::kBFloat16) : at::Tensor();
    auto sums = at::empty_like(*kernels);
    const Grid grid(sizes.c, 4, strips(sizes, kColumnsBackward), kThreads, kBlocks);
    const int parts = int(grid.grid.y), count = sizes.c * 9;
    auto partial = at::empty({parts, count}, map->options().dtype(at::kFloat));
    launch(image, depthwise("backward", relu), grid.grid, grid.block, grid.shared(36), *map, read(*map),
           read(*kernels), read(pulled), of_map ? written(inputs) : nullptr, partial.mutable_data_ptr<float>(), sizes.n,
           sizes.h, sizes.w, sizes.c, kRows);
    launch(image, "sum_of_parts", dim3(parts_of(count, 128)), dim3(128), 0, *map, partial.const_data_ptr<float>(),
           written(sums), parts, count);
    if (of_map) *map_gradient = new at::Tensor(inputs);
    *kernel_gradient = new at::Tensor(sums);
  });
}

char* torch_ext_cuda_max_pool_forward(const void* image, const at::Tensor* map, int kernel, int stride, int above, int left,
                                      int out_h, int out_w, at::Tensor** result, at::Tensor** winners) {
  return guarded([&] {
    check_covered(*map);
    TORCH_CHECK(kernel > 0 && kernel < 16 && stride > 0 && above >= 0 && left >= 0 && out_h > 0 && out_w > 0,
                "a window that is out of range");
    const c10::DeviceGuard guard(map->device());
    const Sizes sizes(*map);
    const Pool pool{sizes.n, sizes.h, sizes.w, sizes.c, out_h, out_w, kernel, stride, above, left};
    auto ys = like(*map, {sizes.n, sizes.c, out_h, out_w}, at::kBFloat16);
    auto taps = like(*map, {sizes.n, sizes.c, out_h, out_w}, at::kByte);
    launch(image, pool_name("forward", pool), lines(sizes.n, out_h, out_w, sizes.c), dim3(kThreads), 0, *map,
           read(*map), written(ys), taps.mutable_data_ptr<uint8_t>(), pool);
    *result = new at::Tensor(ys);
    *winners = new at::Tensor(taps);
  });
}

char* torch_ext_cuda_max_pool_backward(const void* image, const at::Tensor* map, const at::Tensor* winners,
                                       const at::Tensor* gradient, int kernel, int stride, int above, int left,
                                       at::Tensor** map_gradient) {
  return guarded([&] {
    check_covered(*map);
    TORCH_CHECK(torch_ext::is_strided(*winners) && winners->scalar_type() == at::kByte && winners->dim() == 4 &&
                    winners->device() == map->device() && winners->is_contiguous(at::MemoryFormat::ChannelsLast) &&
                    winners->size(0) == map->size(0) && winners->size(1) == map->size(1) &&
                    gradient->sizes() == winners->sizes() && kernel > 0 && kernel < 16 && stride > 0 && above >= 0 && left >= 0,
                "expected the winners of a max-pool and a gradient of their shape, got ", torch_ext::described(*winners),
                " and ", torch_ext::described(*gradient));
    const c10::DeviceGuard guard(map->device());
    const Sizes sizes(*map);
    const Pool pool{sizes.n,
                    sizes.h,
                    sizes.w,
                    sizes.c,
                    int(winners->size(2)),
                    int(winners->size(3)),
                    kernel,
                    stride,
                    above,
                    left};
    const auto pulled = laid_out(*gradient, *map);
    auto inputs = like(*map, map->sizes(), at::kBFloat16);
    launch(image, pool_name("backward", pool), lines(sizes.n, sizes.h, sizes.w, sizes.c), dim3(kThreads), 0, *map,
           read(pulled), winners->const_data_ptr<uint8_t>(), written(inputs), pool);
    *map_gradient = new at::Tensor(inputs);
  });
}

// Mean and inverse deviation of every channel; they enter the running statistics.
char* torch_ext_cuda_norm_statistics(const void* image, const at::Tensor* map, const at::Tensor* running_mean,
                                     const at::Tensor* running_variance, double eps, double momentum, double correction,
                                     at::Tensor** mean, at::Tensor** inverse_deviation) {
  return guarded([&] {
    check_covered(*map);
    const c10::DeviceGuard guard(map->device());
    const Sizes sizes(*map);
    for (const auto* running : {running_mean, running_variance}) {
      TORCH_CHECK(torch_ext::is_strided(*running) && running->scalar_type() == at::kFloat &&
                      running->device() == map->device() && running->sizes() == at::IntArrayRef({sizes.c}) &&
                      running->is_contiguous() && !running->is_neg() && !running->_is_zerotensor(),
                  "expected running statistics [", sizes.c, "] of fp32 on ", map->device(), ", got ",
                  torch_ext::described(*running));
    }
    const int64_t pixels = int64_t(sizes.n) * sizes.h * sizes.w;
    // Four pixels for each thread at least.
    const Grid grid(sizes.c, 8, (pixels + 3) / 4, kThreads, kBlocks);
    const int parts = int(grid.grid.y);
    const auto options = map->options().dtype(at::kFloat);
    auto partial = at::empty({parts, 2, sizes.c}, options);
    auto means = at::empty({sizes.c}, options), deviations = at::empty({sizes.c}, options);
    launch(image, "norm_sums", grid.grid, grid.block, grid.shared(16), *map, read(*map), partial.mutable_data_ptr<float>(),
           static_cast<long long>(pixels), sizes.c);
    launch(image, "norm_finish", dim3(parts_of(sizes.c, 64)), dim3(64), 0, *map, read(*map), partial.const_data_ptr<float>(),
           means.mutable_data_ptr<float>(), deviations.mutable_data_ptr<float>(), running_mean->mutable_data_ptr<float>(),
           running_variance->mutable_data_ptr<float>(), parts, sizes.c, static_cast<long long>(pixels), eps, momentum,
           correction);
    // They were written to without libtorch's knowledge.
    for (const auto* running : {running_mean, running_variance}) running->unsafeGetTensorImpl()->bump_version();
    *mean = new at::Tensor(means);
    *inverse_deviation = new at::Tensor(deviations);
  });
}

}  // extern "C"
