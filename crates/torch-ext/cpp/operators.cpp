// Nodes of libtorch's graph for operators written in Rust.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "geometry.h"
#include "guarded.h"

namespace {

using torch_ext::guarded;

using Pointers = at::Tensor* const*;
using Backward = char* (*)(void* context, Pointers saved, size_t saved_count, Pointers gradients,
                           size_t gradient_count, const bool* needed, at::Tensor** results, size_t result_count);
using Forget = void (*)(void* context);

struct Closure {
  Backward backward;
  Forget forget;
  void* context;
  Closure(Backward backward, Forget forget, void* context) : backward(backward), forget(forget), context(context) {}
  Closure(const Closure&) = delete;
  ~Closure() { forget(context); }
};

std::vector<at::Tensor*> pointers(std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor*> list;
  for (auto& tensor : tensors) list.push_back(tensor.defined() ? &tensor : nullptr);
  return list;
}

// A tensor that the backward pass reads. The caller holds the same one and can change it in between.
struct Saved {
  torch::autograd::SavedVariable variable;
  torch_ext::Geometry geometry;

  explicit Saved(const at::Tensor& tensor) : variable(tensor, false), geometry(tensor) {}

  at::Tensor get() const {
    at::Tensor tensor = variable.unpack();
    if (geometry.fits(tensor)) return tensor;
    const std::string was = geometry.text(), is = torch_ext::described_with_strides(tensor);
    TORCH_CHECK(false, "expected the tensor that the forward pass kept, ", was, ", got ", is,
                was == is ? " in other memory" : "", ": it must not be replaced before the backward pass is over");
  }
};

struct RustNode : torch::autograd::Node {
  std::unique_ptr<Closure> closure;
  std::vector<Saved> saved;
  bool released = false;

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    TORCH_CHECK(!c10::GradMode::is_enabled(), "this operator has no second derivative");
    std::vector<at::Tensor> kept;
    {
      // Another thread may free the graph meanwhile. The closure itself is called outside the lock: it is `Sync`, and
      // may run a backward pass that comes through here again.
      std::lock_guard<std::mutex> lock(mutex_);
      TORCH_CHECK(!released, "this graph was freed by an earlier backward pass");
      for (const auto& tensor : saved) kept.push_back(tensor.get());
    }
    for (auto& gradient : gradients) {
      if (gradient.defined()) gradient = torch_ext::plain(gradient);
    }
    auto kept_pointers = pointers(kept);
    auto gradient_pointers = pointers(gradients);
    const size_t count = num_outputs();
    std::unique_ptr<bool[]> needed(new bool[count]);
    for (size_t i = 0; i < count; ++i) needed[i] = task_should_compute_output(i);
    std::vector<at::Tensor*> results(count, nullptr);
    char* failure = closure->backward(closure->context, kept_pointers.data(), kept.size(), gradient_pointers.data(),
                                      gradients.size(), needed.get(), results.data(), count);
    torch::autograd::variable_list list(count);
    for (size_t i = 0; i < count; ++i) {
      if (!results[i]) continue;
      list[i] = std::move(*results[i]);
      delete results[i];
    }
    if (failure) {
      std::string text(failure);
      std::free(failure);
      TORCH_CHECK(false, text);
    }
    return list;
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    saved.clear();
    released = true;
  }

  std::string name() const override { return "RustNode"; }
};

// How the graph holds its nodes: shared_ptr up to libtorch 2.11, intrusive_ptr in 2.13.
using NodePointer = decltype(torch::autograd::Edge::function);

template <typename Pointer, typename Node>
Pointer owned(Node* node) {
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<torch::autograd::Node>>) {
    return Pointer(node);
  } else {
    return Pointer::unsafe_steal_from_new(node);
  }
}

}  // namespace

extern "C" {

// Takes `context` over in any case and gives it to `forget` when the node goes.
char* torch_ext_record(Pointers inputs, size_t input_count, Pointers outputs, size_t output_count, Pointers saved,
                       size_t saved_count, Backward backward, Forget forget, void* context) {
  return guarded([&] {
    auto closure = std::make_unique<Closure>(backward, forget, context);
    std::vector<at::Tensor> differentiable;
    for (size_t i = 0; i < input_count; ++i) differentiable.push_back(*inputs[i]);
    if (!torch::autograd::compute_requires_grad(differentiable)) return;
    auto* node = new RustNode();
    auto owner = owned<NodePointer>(node);
    node->set_next_edges(torch::autograd::collect_next_edges(differentiable));
    node->closure = std::move(closure);
    for (size_t i = 0; i < saved_count; ++i) node->saved.emplace_back(*saved[i]);
    for (size_t i = 0; i < output_count; ++i) torch::autograd::set_history(*outputs[i], owner);
  });
}

}  // extern "C"
