// In place of CUDA's header of this name: what the kernels of ../../cuda/ use of CUDA C++, for a CPU. A thread of a block is a
// thread of the system, and blocks run one after the other.
#pragma once
#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__

using std::isnan;
using std::max;
using std::min;

struct dim3 {
  unsigned x = 1, y = 1;
};
struct uint2 {
  unsigned x, y;
};
struct uint4 {
  unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
inline std::barrier<>* block_barrier;
inline void __syncthreads() { block_barrier->arrive_and_wait(); }

struct __nv_bfloat16 {
  uint16_t bits;
};
struct __nv_bfloat162 {
  uint16_t first, second;
};

inline float __uint_as_float(unsigned bits) {
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

// To the nearest, and of two that are as near to the even one.
inline __nv_bfloat16 __float2bfloat16(float number) {
  if (number != number) return {0x7fc0};
  unsigned bits;
  std::memcpy(&bits, &number, sizeof bits);
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

inline float __bfloat162float(__nv_bfloat16 number) { return __uint_as_float(unsigned(number.bits) << 16); }

inline __nv_bfloat162 __floats2bfloat162_rn(float first, float second) {
  return {__float2bfloat16(first).bits, __float2bfloat16(second).bits};
}

// All bits of each byte in which the two words agree.
inline unsigned __vcmpeq4(unsigned a, unsigned b) {
  unsigned result = 0;
  for (int place = 0; place < 32; place += 8) {
    if ((a >> place & 255) == (b >> place & 255)) result |= 255u << place;
  }
  return result;
}

// The bytes of `x` (0 to 3) and `y` (4 to 7) that the nibbles of `selector` name.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const uint64_t both = uint64_t(y) << 32 | x;
  unsigned result = 0;
  for (int place = 0; place < 4; ++place) {
    result |= unsigned(both >> (8 * (selector >> (4 * place) & 7)) & 255) << (8 * place);
  }
  return result;
}

inline double rsqrt(double number) { return 1 / std::sqrt(number); }
