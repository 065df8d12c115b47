// Puts a method of its own around a TorchScript module: tch can trace a network, but not define a program.
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include "guarded.h"

using torch_ext::guarded;

extern "C" {

// Replaces the module at `path` by one that calls it `network`, and whose forward is defined by `program`.
char* torch_ext_wrap_torchscript(const char* path, const char* program) {
  return guarded([&] {
    torch::jit::Module network = torch::jit::load(path);
    torch::jit::Module whole("Preprocessed");
    whole.register_module("network", network);
    whole.define(program);
    whole.eval();
    whole.save(path);
  });
}

}  // extern "C"
