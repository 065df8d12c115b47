// What libtorch has and tch does not bind.
#include <ATen/ATen.h>
#include <ATen/cpu/Utils.h>
#include <c10/core/GradMode.h>
#include <torch/version.h>

#include <cstdlib>
#include <vector>

#include "guarded.h"

namespace {

using torch_ext::guarded;

std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> copies;
  copies.reserve(count);
  for (size_t i = 0; i < count; ++i) copies.push_back(*tensors[i]);
  return copies;
}

}  // namespace

extern "C" {

void torch_ext_free(char* text) { std::free(text); }

char* torch_ext_duplicate(const char* text) { return torch_ext::duplicate(text); }

const char* torch_ext_version() { return TORCH_VERSION; }

// Asks the system for the right to use AMX; false where there is none.
bool torch_ext_init_amx() { return at::cpu::init_amx(); }

char* torch_ext_channels_last(at::Tensor* const* input, at::Tensor** output) {
  return guarded([&] { *output = new at::Tensor((*input)->contiguous(at::MemoryFormat::ChannelsLast)); });
}

char* torch_ext_is_channels_last(at::Tensor* const* input, bool* answer) {
  return guarded([&] { *answer = (*input)->is_contiguous(at::MemoryFormat::ChannelsLast); });
}

// Parameters in five parallel lists of `count` tensors, as at::_fused_adam_ takes them. The learning rate is the
// number, or, where it is not null, the tensor.
char* torch_ext_fused_adam(
    at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* means,
    at::Tensor* const* variances, at::Tensor* const* steps, size_t count, double learning_rate,
    const at::Tensor* learning_rate_tensor, double beta1, double beta2, double weight_decay, double eps,
    bool decoupled) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    auto self = list(parameters, count);
    auto grads = list(gradients, count);
    auto exp_avgs = list(means, count);
    auto exp_avg_sqs = list(variances, count);
    auto state_steps = list(steps, count);
    // The kernel walks all lists in memory order, so a gradient must lie as its parameter does.
    for (size_t i = 0; i < count; ++i) {
      if (!grads[i].strides().equals(self[i].strides())) grads[i] = at::empty_like(self[i]).copy_(grads[i]);
    }
    at::_foreach_add_(state_steps, 1);
    auto update = [&](auto kernel, const auto& rate) {
      kernel(self, grads, exp_avgs, exp_avg_sqs, at::TensorList{}, state_steps, rate, beta1, beta2,
             weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false, std::nullopt, std::nullopt);
    };
    auto update_by = [&](const auto& rate) {
      if (decoupled) {
        update([](auto&&... arguments) { at::_fused_adamw_(arguments...); }, rate);
      } else {
        update([](auto&&... arguments) { at::_fused_adam_(arguments...); }, rate);
      }
    };
    if (learning_rate_tensor) {
      update_by(*learning_rate_tensor);
    } else {
      update_by(learning_rate);
    }
  });
}

}  // extern "C"
