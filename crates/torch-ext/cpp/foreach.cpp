// Operations over whole lists of tensors, a few kernels for all of them on a GPU.
#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <c10/core/GradMode.h>

#include "checked.h"
#include "guarded.h"
#include "lists.h"

using torch_ext::guarded;
using torch_ext::list;
using torch_ext::Place;
using torch_ext::Pointers;

namespace {

// Numbers that can be written in place.
void check_written(Place place, const at::Tensor& tensor) {
  torch_ext::check_floats(place, tensor);
  TORCH_CHECK(at::has_internal_overlap(tensor) != at::MemOverlap::Yes, "expected ", place,
              " without repetition in memory, got ", torch_ext::described_with_strides(tensor));
}

// Copies in the kind of `model`, by few kernels for all.
void cast_together(const char* name, const std::vector<at::Tensor>& sources, const at::Tensor& model, at::Tensor** copies) {
  c10::NoGradGuard no_grad;
  std::vector<at::Tensor> targets;
  for (const auto& source : sources) {
    TORCH_CHECK(source.device() == sources[0].device() && source.scalar_type() == sources[0].scalar_type(), "expected ", name,
                " of one kind on one device, got ", torch_ext::described(sources[0]), " and ",
                torch_ext::described(source));
    targets.push_back(at::empty_like(source, model.options()));
  }
  at::_foreach_copy_(targets, sources);
  for (size_t i = 0; i < targets.size(); ++i) copies[i] = new at::Tensor(targets[i]);
}

}  // namespace

extern "C" {

// Scales `gradients` together so that their norm is no more than `max_norm`; `norm` becomes the norm that they had.
char* torch_ext_clip_gradients(Pointers gradients, size_t count, double max_norm, at::Tensor** norm) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    auto all = list(gradients, count);
    torch_ext::Memory memory;
    for (size_t i = 0; i < count; ++i) {
      check_written({"gradient", i}, all[i]);
      memory.writes({"gradient", i}, all[i]);
    }
    memory.check();
    auto total = at::linalg_vector_norm(at::stack(at::_foreach_norm(all, 2)));
    auto factor = at::clamp_max(at::reciprocal(total + 1e-6) * max_norm, 1.0);
    // The look is free on a CPU, and a pass over the gradients is not. On a GPU it would wait for the device.
    if (!total.is_cpu() || factor.item<double>() != 1.0) at::_foreach_mul_(all, factor);
    *norm = new at::Tensor(total);
  });
}

// Copies of `weights`, at least one, in the kind of `model`, each in the order of its own numbers.
char* torch_ext_cast_weights(Pointers weights, size_t count, const at::Tensor* model, at::Tensor** copies) {
  return guarded([&] {
    const auto sources = list(weights, count);
    for (size_t i = 0; i < count; ++i) torch_ext::check_dense({"weight", i}, sources[i]);
    cast_together("weights", sources, *model, copies);
  });
}

// The same of gradients, which may repeat one number: those of a sum do.
char* torch_ext_cast_gradients(Pointers gradients, size_t count, const at::Tensor* model, at::Tensor** copies) {
  return guarded([&] {
    auto sources = list(gradients, count);
    for (size_t i = 0; i < count; ++i) {
      torch_ext::check_floats({"gradient", i}, sources[i]);
      if (!sources[i].is_non_overlapping_and_dense()) sources[i] = sources[i].contiguous();
    }
    cast_together("gradients", sources, *model, copies);
  });
}

// Moves each of `starts` by `weight` of the way to its counterpart in `ends`.
char* torch_ext_lerp(Pointers starts, Pointers ends, size_t count, double weight) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    const auto from = list(starts, count), to = list(ends, count);
    torch_ext::Memory memory;
    for (size_t i = 0; i < count; ++i) {
      check_written({"start", i}, from[i]);
      torch_ext::check_like({"end", i}, to[i], "start", from[i]);
      memory.writes({"start", i}, from[i]);
      memory.reads({"end", i}, to[i]);
    }
    memory.check();
    at::_foreach_lerp_(from, to, weight);
  });
}

}  // extern "C"
