// libtorch's distributed engine, c10d: a key-value store over TCP, and groups of processes that reduce tensors together.
#include <ATen/core/Tensor.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/cuda/nccl.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "guarded.h"
#include "lists.h"

namespace {

using torch_ext::guarded;
using torch_ext::Pointers;
using std::chrono::milliseconds;

using Store = c10::intrusive_ptr<c10d::Store>;
using Group = c10::intrusive_ptr<c10d::Backend>;
using Work = c10::intrusive_ptr<c10d::Work>;

#ifdef USE_C10D_NCCL
// libtorch's options hold a struct of NCCL, whose size is another one in another version: it would write beyond ours.
void expect_own_nccl() {
  const uint64_t version = torch::cuda::nccl::version();
  const int major = static_cast<int>(version >> 32), minor = static_cast<int>(version >> 16 & 0xffff);
  TORCH_CHECK(major == NCCL_MAJOR && minor == NCCL_MINOR, "expected NCCL ", NCCL_MAJOR, ".", NCCL_MINOR,
              ", whose nccl.h this program was built with, got ", major, ".", minor,
              " of libtorch: build again with NCCL_HOME set to the folder of libtorch's version");
}
#endif

}  // namespace

extern "C" {

// c10d and Gloo write warnings with C++ backtraces to stderr; errors come back as errors anyway.
void torch_ext_say_less() { FLAGS_caffe2_log_level = 3; }

// Ends the process without destructors, which would wait for peers that are gone.
void torch_ext_leave(int code) { std::_Exit(code); }

char* torch_ext_tcp_store(const char* host, uint16_t port, bool hosts, int64_t timeout, Store** out, uint16_t* bound) {
  return guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = hosts;
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout);
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    *bound = store->getPort();
    *out = new Store(std::move(store));
  });
}

char* torch_ext_prefix_store(const char* prefix, const Store* store, Store** out) {
  return guarded([&] { *out = new Store(c10::make_intrusive<c10d::PrefixStore>(prefix, *store)); });
}

char* torch_ext_store_set(const Store* store, const char* key, const uint8_t* value, size_t length) {
  return guarded([&] { (*store)->set(key, std::vector<uint8_t>(value, value + length)); });
}

// `value` is from malloc, for torch_ext_free.
char* torch_ext_store_get(const Store* store, const char* key, char** value, size_t* length) {
  return guarded([&] {
    const std::vector<uint8_t> got = (*store)->get(key);
    *value = static_cast<char*>(std::malloc(got.size() + 1));
    TORCH_CHECK(*value, "no memory for ", got.size(), " bytes");
    std::copy(got.begin(), got.end(), *value);
    *length = got.size();
  });
}

char* torch_ext_store_check(const Store* store, const char* key, bool* there) {
  return guarded([&] { *there = (*store)->check({key}); });
}

char* torch_ext_store_wait(const Store* store, const char* key, int64_t timeout) {
  return guarded([&] { (*store)->wait({key}, milliseconds(timeout)); });
}

char* torch_ext_store_add(const Store* store, const char* key, int64_t amount, int64_t* sum) {
  return guarded([&] { *sum = (*store)->add(key, amount); });
}

char* torch_ext_store_free(Store* store) {
  return guarded([&] { delete store; });
}

// `interface`, if any, takes precedence over `address`; where both are null the host name's own address is used.
char* torch_ext_gloo(const Store* store, int rank, int world_size, int64_t timeout, const char* interface,
                     const char* address, Group** out) {
  return guarded([&] {
    auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(timeout));
    if (interface) {
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(interface));
    } else if (address) {
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
    } else {
      options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    }
    *out = new Group(c10::make_intrusive<c10d::ProcessGroupGloo>(*store, rank, world_size, std::move(options)));
  });
}

#ifdef USE_C10D_NCCL
char* torch_ext_nccl(const Store* store, int rank, int world_size, int64_t timeout, Group** out) {
  return guarded([&] {
    expect_own_nccl();
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = milliseconds(timeout);
    *out = new Group(c10::make_intrusive<c10d::ProcessGroupNCCL>(*store, rank, world_size, std::move(options)));
  });
}
#endif

// `operation`: 0 sum, 1 min, 2 max.
char* torch_ext_all_reduce(const Group* group, const at::Tensor* tensor, int operation, Work** out) {
  return guarded([&] {
    static const c10d::ReduceOp::RedOpType kinds[] = {c10d::ReduceOp::SUM, c10d::ReduceOp::MIN, c10d::ReduceOp::MAX};
    c10d::AllreduceOptions options;
    options.reduceOp = kinds[operation];
    std::vector<at::Tensor> tensors{*tensor};
    *out = new Work((*group)->allreduce(tensors, options));
  });
}

char* torch_ext_broadcast(const Group* group, const at::Tensor* tensor, int64_t root, Work** out) {
  return guarded([&] {
    c10d::BroadcastOptions options;
    options.rootRank = root;
    std::vector<at::Tensor> tensors{*tensor};
    *out = new Work((*group)->broadcast(tensors, options));
  });
}

char* torch_ext_all_gather(const Group* group, const at::Tensor* tensor, Pointers gathered, size_t count, Work** out) {
  return guarded([&] {
    std::vector<std::vector<at::Tensor>> outputs{torch_ext::list(gathered, count)};
    std::vector<at::Tensor> inputs{*tensor};
    *out = new Work((*group)->allgather(outputs, inputs));
  });
}

char* torch_ext_barrier(const Group* group, Work** out) {
  return guarded([&] { *out = new Work((*group)->barrier()); });
}

char* torch_ext_group_abort(const Group* group) {
  return guarded([&] { (*group)->abort(); });
}

char* torch_ext_group_free(Group* group) {
  return guarded([&] { delete group; });
}

char* torch_ext_work_wait(const Work* work) {
  return guarded([&] { TORCH_CHECK((*work)->wait(), "it was aborted"); });
}

char* torch_ext_work_done(const Work* work, bool* done) {
  return guarded([&] { *done = (*work)->isCompleted(); });
}

char* torch_ext_work_free(Work* work) {
  return guarded([&] { delete work; });
}

}  // extern "C"
