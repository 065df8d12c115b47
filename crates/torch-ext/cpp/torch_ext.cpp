// Functions of libtorch that tch does not bind.
#include <ATen/ATen.h>
#include <ATen/cpu/Utils.h>
#include <torch/version.h>

#include <cstdlib>

#include "geometry.h"
#include "guarded.h"

using torch_ext::guarded;

namespace {

void check_strided(const at::Tensor& images) {
  TORCH_CHECK(torch_ext::is_strided(images), "expected images [N, C, H, W] with strides, got ",
              torch_ext::described(images));
}

}  // namespace

extern "C" {

void torch_ext_free(char* text) { std::free(text); }

char* torch_ext_duplicate(const char* text) { return torch_ext::duplicate(text); }

const char* torch_ext_version() { return TORCH_VERSION; }

// Asks the system for the right to use AMX; false where there is none.
bool torch_ext_init_amx() { return at::cpu::init_amx(); }

char* torch_ext_channels_last(at::Tensor* const* input, at::Tensor** output) {
  return guarded([&] {
    check_strided(**input);
    *output = new at::Tensor((*input)->contiguous(at::MemoryFormat::ChannelsLast));
  });
}

char* torch_ext_is_channels_last(at::Tensor* const* input, bool* answer) {
  return guarded([&] {
    check_strided(**input);
    *answer = (*input)->is_contiguous(at::MemoryFormat::ChannelsLast);
  });
}

}  // extern "C"
