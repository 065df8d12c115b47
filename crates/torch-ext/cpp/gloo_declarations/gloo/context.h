// What libtorch's ProcessGroupGloo.hpp mentions of Gloo, declared. libtorch carries Gloo compiled and leaves its headers
// out. Nothing here is constructed, derived from or called by this program: the names have to exist, no more.
#pragma once
#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
