// A whole step of an optimizer over lists of tensors, by a fused kernel of libtorch where it has one.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <vector>

#include "checked.h"
#include "guarded.h"
#include "lists.h"

namespace {

using torch_ext::guarded;
using torch_ext::list;
using torch_ext::Pointers;

// The lists of a step, each checked against the parameters before anything is written. libtorch's kernels check none
// of it: they walk all lists in memory order to the parameter's last number.
class Step {
 public:
  Step(Pointers parameters, Pointers gradients, size_t count)
      : parameters(list(parameters, count)), gradients(list(gradients, count)) {
    for (size_t i = 0; i < count; ++i) {
      const auto& parameter = this->parameters[i];
      torch_ext::check_dense({"parameter", i}, parameter);
      TORCH_CHECK(parameter.device() == device(), "expected all parameters on ", device(), " as parameter 0 is, got ",
                  torch_ext::described(parameter), " as parameter ", i);
      torch_ext::check_like({"gradient", i}, this->gradients[i], "parameter", parameter);
      memory_.writes({"parameter", i}, parameter);
    }
    for (size_t i = 0; i < count; ++i) {
      lay_out(i);
      memory_.reads({"gradient", i}, this->gradients[i]);
    }
  }

  // A list that is written beside the parameters.
  std::vector<at::Tensor> state(const char* name, Pointers tensors, size_t count) {
    auto state = list(tensors, count);
    for (size_t i = 0; i < count; ++i) {
      torch_ext::check_laid_out_like({name, i}, state[i], "parameter", parameters[i]);
      memory_.writes({name, i}, state[i]);
    }
    return state;
  }

  void counter(const at::Tensor& steps) {
    torch_ext::check_scalar("the count of steps", steps, device());
    memory_.writes({"the count of steps, tensor", 0}, steps);
  }

  // Calls `update` with the learning rate in the form that it has: the tensor, or where that is null the number.
  template <typename Update>
  void run(double number, const at::Tensor* tensor, Update update) {
    if (tensor) {
      torch_ext::check_scalar("the learning rate", *tensor, device());
      memory_.reads({"the learning rate, tensor", 0}, *tensor);
    }
    memory_.check();
    if (tensor) {
      update(*tensor);
    } else {
      update(number);
    }
  }

  const std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> gradients;

 private:
  c10::Device device() const { return parameters[0].device(); }

  // A gradient must lie as its parameter does.
  void lay_out(size_t i) {
    auto& gradient = gradients[i];
    gradient = torch_ext::plain(gradient);
    if (gradient.strides() == parameters[i].strides()) return;
    // The strides of axes of one row differ without meaning, and libtorch's kernels compare them all the same.
    if (torch_ext::same_order(gradient, parameters[i])) {
      gradient = gradient.as_strided(parameters[i].sizes(), parameters[i].strides());
    } else {
      gradient = at::empty_like(parameters[i]).copy_(gradient);
    }
  }

  torch_ext::Memory memory_;
};

}  // namespace

extern "C" {

// Parameters, gradients, means and variances in parallel lists of `count` tensors, at least one, as at::_fused_adam_
// takes them; `steps` counts for all of them.
char* torch_ext_fused_adam(Pointers parameters, Pointers gradients, Pointers means, Pointers variances, size_t count,
                           at::Tensor* steps, double learning_rate, const at::Tensor* learning_rate_tensor,
                           double beta1, double beta2, double weight_decay, double eps, bool decoupled) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    Step step(parameters, gradients, count);
    auto exp_avgs = step.state("mean", means, count);
    auto exp_avg_sqs = step.state("variance", variances, count);
    step.counter(*steps);
    step.run(learning_rate, learning_rate_tensor, [&](const auto& rate) {
      std::vector<at::Tensor> state_steps(count, *steps);
      auto update = [&](auto kernel) {
        kernel(step.parameters, step.gradients, exp_avgs, exp_avg_sqs, at::TensorList{}, state_steps, rate, beta1, beta2,
               weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false, std::nullopt, std::nullopt);
      };
      steps->add_(1);
      try {
        if (decoupled) {
          update([](auto&&... arguments) { at::_fused_adamw_(arguments...); });
        } else {
          update([](auto&&... arguments) { at::_fused_adam_(arguments...); });
        }
      } catch (...) {
        // A step that libtorch refuses does not count.
        steps->sub_(1);
        throw;
      }
    });
  });
}

// Parameters, gradients and velocities in parallel lists of `count` tensors, at least one, as at::_fused_sgd_ takes
// them; no velocities without momentum. They start at zero, so the first step needs no treatment of its own.
char* torch_ext_fused_sgd(Pointers parameters, Pointers gradients, Pointers velocities, size_t count,
                          double learning_rate, const at::Tensor* learning_rate_tensor, double momentum,
                          double weight_decay, bool nesterov) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    Step step(parameters, gradients, count);
    auto buffers = step.state("velocity", velocities, momentum == 0 ? 0 : count);
    step.run(learning_rate, learning_rate_tensor, [&](const auto& rate) {
      at::_fused_sgd_(step.parameters, step.gradients, buffers, weight_decay, momentum, rate, /*dampening=*/0.0, nesterov,
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
    Step step(parameters, gradients, count);
    auto squares = step.state("mean square", mean_squares, count);
    auto buffers = step.state("velocity", velocities, momentum == 0 ? 0 : count);
    step.run(learning_rate, learning_rate_tensor, [&](const auto& rate) {
      auto grads = step.gradients;
      if (weight_decay != 0) grads = at::_foreach_add(grads, step.parameters, weight_decay);
      at::_foreach_mul_(squares, rho);
      at::_foreach_addcmul_(squares, grads, grads, 1 - rho);
      auto updates = at::_foreach_add(squares, eps);
      at::_foreach_sqrt_(updates);
      updates = at::_foreach_div(grads, updates);
      at::_foreach_mul_(updates, rate);
      if (momentum != 0) {
        at::_foreach_mul_(buffers, momentum);
        at::_foreach_add_(buffers, updates, 1);
        updates = buffers;
      }
      at::_foreach_sub_(step.parameters, updates, 1);
    });
  });
}

}  // extern "C"
