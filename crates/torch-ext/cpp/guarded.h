// The end of every entry point: nullptr on success, or an error text that the caller frees with torch_ext_free.
#pragma once
#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>

namespace torch_ext {

inline char* duplicate(const char* text) {
  char* copy = static_cast<char*>(std::malloc(std::strlen(text) + 1));
  // nullptr would mean success.
  if (!copy) std::abort();
  return std::strcpy(copy, text);
}

template <typename Body>
char* guarded(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return duplicate(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return duplicate(error.what());
  } catch (...) {
    return duplicate("libtorch threw something that is not an exception");
  }
}

}  // namespace torch_ext
