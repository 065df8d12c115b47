// A whole step of an optimizer over lists of tensors, by a fused kernel of libtorch where it has one.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <vector>

#include "guarded.h"
#include "lists.h"

namespace {

using torch_ext::guarded;
using torch_ext::list;
using torch_ext::Pointers;

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

// The same for RMSprop in TensorFlow's form, which libtorch has no fused kernel for. The rate goes into the velocity,
// and eps into the root.
char* torch_ext_rms_prop(Pointers parameters, Pointers gradients, Pointers mean_squares, Pointers velocities,
                         size_t count, double learning_rate, const at::Tensor* learning_rate_tensor, double rho,
                         double momentum, double weight_decay, double eps) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    auto self = list(parameters, count);
    auto grads = laid_out_as(self, gradients);
    auto squares = list(mean_squares, count);
    auto buffers = list(velocities, momentum == 0 ? 0 : count);
    if (weight_decay != 0) grads = at::_foreach_add(grads, self, weight_decay);
    at::_foreach_mul_(squares, rho);
    at::_foreach_addcmul_(squares, grads, grads, 1 - rho);
    auto updates = at::_foreach_add(squares, eps);
    at::_foreach_sqrt_(updates);
    updates = at::_foreach_div(grads, updates);
    by_rate(learning_rate, learning_rate_tensor, [&](const auto& rate) { at::_foreach_mul_(updates, rate); });
    if (momentum != 0) {
      at::_foreach_mul_(buffers, momentum);
      at::_foreach_add_(buffers, updates, 1);
      updates = buffers;
    }
    at::_foreach_sub_(self, updates, 1);
  });
}

}  // extern "C"
