// Gradients, with word of each as soon as the backward pass has it.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>
#include <vector>

#include "guarded.h"
#include "lists.h"

namespace {

// Returns an error text from malloc, or null.
using Ready = char* (*)(void* context, size_t index, at::Tensor* gradient);

// Takes its hooks away again, also when the pass throws.
struct Hooks {
  const std::vector<at::Tensor>& parameters;
  std::vector<unsigned> positions;
  explicit Hooks(const std::vector<at::Tensor>& parameters) : parameters(parameters) {}
  Hooks(const Hooks&) = delete;
  ~Hooks() {
    for (size_t i = 0; i < positions.size(); ++i) parameters[i].remove_hook(positions[i]);
  }
};

}  // namespace

extern "C" {

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
