// How the C library hands out the memory of tensors.
#include <cstdlib>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

extern "C" {

// Must come ahead of the first tensor: libtorch reads its variable once.
void torch_ext_keep_memory() {
#if defined(__GLIBC__)
  // glibc gives a freed block of over 128 kB back to the system, and the next step pays a page fault for every
  // 4 kB of it. 32 MiB is the largest threshold it takes; what is larger is rare and reused less.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
#if defined(__linux__)
  // libtorch asks for 2 MiB pages where a tensor fills one.
  setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0);
#endif
}

}  // extern "C"
