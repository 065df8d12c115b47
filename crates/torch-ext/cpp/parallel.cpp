// libtorch's intra-op threads. Its own at::parallel_for is a template over OpenMP pragmas: compiled here it would ask
// for whatever OpenMP library this compiler links, a second pool beside libtorch's. So the pool is called by name, in
// the library that libtorch has loaded.
#include <ATen/Parallel.h>

#include <algorithm>
#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#endif

#include "guarded.h"

namespace {

using Body = void (*)(void* context, int64_t begin, int64_t end);

struct Pool {
  void (*parallel)(void (*)(void*), void*, unsigned threads, unsigned flags) = nullptr;
  int (*thread)() = nullptr;
  int (*threads)() = nullptr;

  Pool() {
#if defined(__unix__) || defined(__APPLE__)
    parallel = reinterpret_cast<decltype(parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    thread = reinterpret_cast<decltype(thread)>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
    threads = reinterpret_cast<decltype(threads)>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
#endif
  }

  bool usable() const { return parallel && thread && threads; }
};

const Pool& pool() {
  static const Pool found;
  return found;
}

struct Job {
  int64_t count;
  Body body;
  void* context;
};

void run_share(void* data) {
  const Job& job = *static_cast<Job*>(data);
  const int64_t index = pool().thread(), threads = pool().threads();
  const int64_t begin = job.count * index / threads, end = job.count * (index + 1) / threads;
  if (begin < end) job.body(job.context, begin, end);
}

}  // namespace

extern "C" {

// Calls body(context, begin, end) for ranges that cover [0, count) once, one for each of libtorch's intra-op threads.
// On the calling thread alone where libtorch's pool is not OpenMP's, or the caller is one of its threads.
char* torch_ext_parallel_for(int64_t count, Body body, void* context) {
  return torch_ext::guarded([&] {
    const int64_t threads = std::min<int64_t>(at::get_num_threads(), count);
    if (threads <= 1 || at::in_parallel_region() || !pool().usable()) {
      if (count > 0) body(context, 0, count);
      return;
    }
    Job job{count, body, context};
    pool().parallel(run_share, &job, static_cast<unsigned>(threads), 0);
  });
}

}  // extern "C"
