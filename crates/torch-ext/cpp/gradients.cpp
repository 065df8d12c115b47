// Gradients, with word of each as soon as the backward pass has it.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/cpp_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <string>
#include <vector>

#include "guarded.h"
#include "lists.h"

namespace {

// Returns an error text from malloc, or null.
using Ready = char* (*)(void* context, size_t index, at::Tensor* gradient);

const std::shared_ptr<torch::autograd::hooks_list>& places(const at::Tensor& parameter) {
  return torch::autograd::impl::get_autograd_meta(parameter)->cpp_hooks_list_;
}

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

// Each of `results` is a new tensor.
char* torch_ext_gradients(const at::Tensor* loss, torch_ext::Pointers parameters, size_t count, Ready ready,
                          void* context, at::Tensor** results) {
  return torch_ext::guarded([&] {
    const std::vector<at::Tensor> inputs = torch_ext::list(parameters, count);
    Hooks hooks(inputs);
    for (size_t i = 0; i < count; ++i) {
      hooks.positions.push_back(inputs[i].register_hook([ready, context, i](at::Tensor gradient) {
        char* failure = ready(context, i, &gradient);
        if (!failure) return;
        std::string text(failure);
        std::free(failure);
        TORCH_CHECK(false, text);
      }));
    }
    const auto gradients = torch::autograd::grad({*loss}, inputs, {}, std::nullopt, false, false);
    for (size_t i = 0; i < count; ++i) results[i] = new at::Tensor(gradients[i]);
  });
}

}  // extern "C"
