// Counts the operators that a thread calls, and its backward passes: the outermost ones, not those that they call.
#include <ATen/record_function.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "guarded.h"

namespace {

using torch_ext::guarded;

std::mutex mutex;
// The caller lets nobody count while somebody does.
std::map<std::string, uint64_t> calls;

thread_local int depth = 0;

// The depth that a node of a backward pass began at. The pass itself is an operator, and those of its nodes count.
struct Outside : at::ObserverContext {
  int depth;
  explicit Outside(int depth) : depth(depth) {}
};

std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& called) {
  // The engine of the backward pass records its own work as an operator, too.
  const bool is_engine = std::string_view(called.name()).substr(0, 10) == "autograd::";
  if (is_engine || called.scope() == at::RecordScope::BACKWARD_FUNCTION) {
    return std::make_unique<Outside>(std::exchange(depth, 0));
  }
  if (depth++ == 0) {
    std::lock_guard<std::mutex> lock(mutex);
    ++calls[called.name()];
  }
  return nullptr;
}

void leave(const at::RecordFunction&, at::ObserverContext* context) {
  if (auto* outside = static_cast<Outside*>(context)) {
    depth = outside->depth;
  } else {
    --depth;
  }
}

}  // namespace

extern "C" {

char* torch_ext_count_begin(uint64_t* handle) {
  return guarded([&] {
    {
      std::lock_guard<std::mutex> lock(mutex);
      calls.clear();
    }
    auto callback = at::RecordFunctionCallback(count, leave).scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
    *handle = at::addThreadLocalCallback(callback);
  });
}

// Calls `each` with every name and how often it was called.
char* torch_ext_count_end(uint64_t handle, void (*each)(void* context, const char* name, uint64_t calls), void* context) {
  return guarded([&] {
    at::removeCallback(handle);
    std::lock_guard<std::mutex> lock(mutex);
    for (const auto& [name, times] : calls) each(context, name.c_str(), times);
  });
}

}  // extern "C"
