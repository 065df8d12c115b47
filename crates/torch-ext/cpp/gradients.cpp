// Gradients, with a call for each as soon as the backward pass has it.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/cpp_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "geometry.h"
#include "guarded.h"
#include "lists.h"

namespace {

// Returns an error text from malloc, or null.
using Ready = char* (*)(void* context, size_t index, at::Tensor* gradient);
using Forget = void (*)(void* context);

// The closure of one call, shared by its hooks: one that another thread runs just then keeps it alive.
struct Listener {
  Ready ready;
  Forget forget;
  void* context;
  Listener(Ready ready, Forget forget, void* context) : ready(ready), forget(forget), context(context) {}
  Listener(const Listener&) = delete;
  ~Listener() { forget(context); }

  void operator()(size_t index, at::Tensor& gradient) const {
    char* failure = ready(context, index, &gradient);
    if (!failure) return;
    std::string text(failure);
    std::free(failure);
    TORCH_CHECK(false, text);
  }
};

const std::shared_ptr<torch::autograd::hooks_list>& places(const at::Tensor& parameter) {
  return torch::autograd::impl::get_autograd_meta(parameter)->cpp_hooks_list_;
}

// The parameters of the calls that are running. libtorch changes a tensor's hooks without a lock, so two calls must not
// share a parameter.
class InUse {
 public:
  explicit InUse(const std::vector<at::Tensor>& parameters) {
    for (const auto& parameter : parameters) own_.insert(parameter.unsafeGetTensorImpl());
    std::lock_guard<std::mutex> lock(mutex());
    for (size_t i = 0; i < parameters.size(); ++i) {
      TORCH_CHECK(!all().count(parameters[i].unsafeGetTensorImpl()),
                  "expected one backward pass at a time through these parameters, got a second call at parameter ", i,
                  " while one is running");
    }
    all().insert(own_.begin(), own_.end());
  }
  InUse(const InUse&) = delete;
  ~InUse() {
    std::lock_guard<std::mutex> lock(mutex());
    for (const auto* parameter : own_) all().erase(parameter);
  }

 private:
  using Set = std::unordered_set<const c10::TensorImpl*>;
  static std::mutex& mutex() {
    static std::mutex mutex;
    return mutex;
  }
  static Set& all() {
    static auto* all = new Set();
    return *all;
  }
  Set own_;
};

// Takes its hooks away again, also when the pass throws. remove_hook alone empties a hook's place and keeps it, so a
// parameter would have one more with every pass of a run. From the last to the first, for one that is listed twice.
struct Hooks {
  const std::vector<at::Tensor>& parameters;
  std::vector<unsigned> positions;
  explicit Hooks(const std::vector<at::Tensor>& parameters) : parameters(parameters) {}
  Hooks(const Hooks&) = delete;
  ~Hooks() {
    for (size_t i = positions.size(); i-- > 0;) {
      parameters[i].remove_hook(positions[i]);
      const auto& list = places(parameters[i]);
      if (list->size() == positions[i] + 1) list->pop_back();
    }
  }
};

}  // namespace

extern "C" {

// How many places for hooks `parameter` has, used or not.
char* torch_ext_hook_places(const at::Tensor* parameter, size_t* count) {
  return torch_ext::guarded([&] {
    const auto* meta = torch::autograd::impl::get_autograd_meta(*parameter);
    *count = meta && meta->cpp_hooks_list_ ? meta->cpp_hooks_list_->size() : 0;
  });
}

// Each of `results` is a new tensor. Takes `context` over in any case, and gives it to `forget` when no hook needs it.
char* torch_ext_gradients(const at::Tensor* loss, torch_ext::Pointers parameters, size_t count, Ready ready,
                          Forget forget, void* context, at::Tensor** results) {
  return torch_ext::guarded([&] {
    const auto listener = std::make_shared<Listener>(ready, forget, context);
    const std::vector<at::Tensor> inputs = torch_ext::list(parameters, count);
    TORCH_CHECK(loss->defined(), "expected a loss, got an undefined tensor");
    TORCH_CHECK(count > 0, "expected at least one parameter, got none");
    for (size_t i = 0; i < count; ++i) {
      TORCH_CHECK(inputs[i].defined() && inputs[i].requires_grad(), "expected parameter ", i, " to require gradients, got ",
                  torch_ext::described(inputs[i]), inputs[i].defined() ? " without them" : "");
      // Another pass may go through a tensor in the middle of a graph, and libtorch reads its hooks without a lock.
      TORCH_CHECK(inputs[i].is_leaf(), "expected parameter ", i, " to be a leaf, got ", torch_ext::described(inputs[i]),
                  ", which was computed");
    }
    const InUse in_use(inputs);
    Hooks hooks(inputs);
    for (size_t i = 0; i < count; ++i) {
      hooks.positions.push_back(inputs[i].register_hook([listener, i](at::Tensor gradient) { (*listener)(i, gradient); }));
    }
    const auto gradients = torch::autograd::grad({*loss}, inputs, {}, std::nullopt, false, false);
    for (size_t i = 0; i < count; ++i) results[i] = new at::Tensor(gradients[i]);
  });
}

}  // extern "C"
