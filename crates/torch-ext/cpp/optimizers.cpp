// A whole step of an optimizer by one of libtorch's fused kernels.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <vector>

#include "guarded.h"

namespace {

using torch_ext::guarded;

using Pointers = at::Tensor* const*;

std::vector<at::Tensor> list(Pointers tensors, size_t count) {
  std::vector<at::Tensor> copies;
  copies.reserve(count);
  for (size_t i = 0; i < count; ++i) copies.push_back(*tensors[i]);
  return copies;
}

// The kernels walk all lists in memory order, so a gradient must lie as its parameter does.
std::vector<at::Tensor> laid_out_as(const std::vector<at::Tensor>& parameters, Pointers gradients) {
  auto copies = list(gradients, parameters.size());
  for (size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].strides().equals(parameters[i].strides())) continue;
    copies[i] = at::empty_like(parameters[i]).copy_(copies[i]);
  }
  return copies;
}

// Calls `update` with the learning rate in the form that it has: the tensor, or where that is null the number.
template <typename Update>
void by_rate(double number, const at::Tensor* tensor, Update update) {
  if (tensor) {
    update(*tensor);
  } else {
    update(number);
  }
}

}  // namespace

extern "C" {

// Parameters, gradients, means and variances in parallel lists of `count` tensors, as at::_fused_adam_ takes them;
// `steps` counts for all of them.
char* torch_ext_fused_adam(Pointers parameters, Pointers gradients, Pointers means, Pointers variances, size_t count,
                           at::Tensor* steps, double learning_rate, const at::Tensor* learning_rate_tensor,
                           double beta1, double beta2, double weight_decay, double eps, bool decoupled) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    auto self = list(parameters, count);
    auto grads = laid_out_as(self, gradients);
    auto exp_avgs = list(means, count);
    auto exp_avg_sqs = list(variances, count);
    steps->add_(1);
    std::vector<at::Tensor> state_steps(count, *steps);
    by_rate(learning_rate, learning_rate_tensor, [&](const auto& rate) {
      auto update = [&](auto kernel) {
        kernel(self, grads, exp_avgs, exp_avg_sqs, at::TensorList{}, state_steps, rate, beta1, beta2, weight_decay,
               eps, /*amsgrad=*/false, /*maximize=*/false, std::nullopt, std::nullopt);
      };
      if (decoupled) {
        update([](auto&&... arguments) { at::_fused_adamw_(arguments...); });
      } else {
        update([](auto&&... arguments) { at::_fused_adam_(arguments...); });
      }
    });
  });
}

// Parameters, gradients and velocities in parallel lists of `count` tensors, as at::_fused_sgd_ takes them. Velocities
// start at zero, so the first step needs no treatment of its own.
char* torch_ext_fused_sgd(Pointers parameters, Pointers gradients, Pointers velocities, size_t count,
                          double learning_rate, const at::Tensor* learning_rate_tensor, double momentum,
                          double weight_decay, bool nesterov) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    auto self = list(parameters, count);
    auto grads = laid_out_as(self, gradients);
    auto buffers = list(velocities, momentum == 0 ? 0 : count);
    by_rate(learning_rate, learning_rate_tensor, [&](const auto& rate) {
      at::_fused_sgd_(self, grads, buffers, weight_decay, momentum, rate, /*dampening=*/0.0, nesterov,
                      /*maximize=*/false, /*is_first_step=*/false, std::nullopt, std::nullopt);
    });
  });
}

}  // extern "C"
