// libtorch's intra-op threads. Its own at::parallel_for is a template over OpenMP pragmas: compiled here it would ask
// for whatever OpenMP library this compiler links, a second pool beside libtorch's. So the pool is called by name, in
// the library that libtorch has loaded.
#include <ATen/Parallel.h>

#include <algorithm>
#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#elif defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#endif

#include "guarded.h"

namespace {

using Body = void (*)(void* context, int64_t begin, int64_t end);

using Task = void (*)(void* data);

// The place in a source file that LLVM's OpenMP reports; version 2 of its flags means "compiled code".
struct Place {
  int32_t reserved = 0, flags = 2, more[2] = {0, 0};
  const char* source = ";unknown;torch_ext;0;0;;";
};

// GNU's OpenMP, or LLVM's (macOS, Windows, libtorch built by clang), which has GNU's entry on Linux only.
struct Pool {
  void (*gnu)(Task, void* data, unsigned threads, unsigned flags) = nullptr;
  void (*llvm)(Place*, int32_t arguments, void (*)(int32_t*, int32_t*, ...), ...) = nullptr;
  void (*llvm_threads)(Place*, int32_t caller, int32_t threads) = nullptr;
  int32_t (*llvm_caller)(Place*) = nullptr;
  int (*thread)() = nullptr;
  int (*threads)() = nullptr;

  Pool() {
    find(gnu, "GOMP_parallel");
    find(llvm, "__kmpc_fork_call");
    find(llvm_threads, "__kmpc_push_num_threads");
    find(llvm_caller, "__kmpc_global_thread_num");
    find(thread, "omp_get_thread_num");
    find(threads, "omp_get_num_threads");
  }

  template <typename Function>
  static void find(Function& function, const char* name) {
#if defined(__unix__) || defined(__APPLE__)
    function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
#elif defined(_WIN32)
    for (const char* library : {"libiomp5md.dll", "libomp140.x86_64.dll"})
      if (HMODULE loaded = GetModuleHandleA(library); loaded && !function)
        function = reinterpret_cast<Function>(GetProcAddress(loaded, name));
#endif
  }

  bool usable() const {
    return (gnu || (llvm && llvm_threads && llvm_caller)) && thread && threads;
  }

  void run(Task task, void* data, int count) const {
    if (gnu) return gnu(task, data, static_cast<unsigned>(count), 0);
    static Place place;
    llvm_threads(&place, llvm_caller(&place), count);
    llvm(&place, 2, reinterpret_cast<void (*)(int32_t*, int32_t*, ...)>(&task_of_llvm),
         reinterpret_cast<void*>(task), data);
  }

  static void task_of_llvm(int32_t*, int32_t*, void* task, void* data) {
    reinterpret_cast<Task>(task)(data);
  }
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
    pool().run(run_share, &job, static_cast<int>(threads));
  });
}

}  // extern "C"
