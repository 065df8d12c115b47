// Numbers of channels-last maps as the kernels read them: several channels of a pixel at once, widened to fp32.
#pragma once
#include <cuda_bf16.h>

using bf16 = __nv_bfloat16;

// The first of two bf16 numbers that share a word is in its lower half, and fp32 is bf16 with 16 more bits of mantissa.
__device__ __forceinline__ float low(unsigned word) { return __uint_as_float(word << 16); }
__device__ __forceinline__ float high(unsigned word) { return __uint_as_float(word & 0xffff0000u); }

__device__ __forceinline__ unsigned packed(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return *reinterpret_cast<const unsigned*>(&pair);
}

__device__ __forceinline__ void widen(uint2 words, float (&numbers)[4]) {
  numbers[0] = low(words.x), numbers[1] = high(words.x);
  numbers[2] = low(words.y), numbers[3] = high(words.y);
}

__device__ __forceinline__ void widen(uint4 words, float (&numbers)[8]) {
  numbers[0] = low(words.x), numbers[1] = high(words.x), numbers[2] = low(words.y), numbers[3] = high(words.y);
  numbers[4] = low(words.z), numbers[5] = high(words.z), numbers[6] = low(words.w), numbers[7] = high(words.w);
}

__device__ __forceinline__ uint2 narrowed(const float (&numbers)[4]) {
  return {packed(numbers[0], numbers[1]), packed(numbers[2], numbers[3])};
}

__device__ __forceinline__ uint4 narrowed(const float (&numbers)[8]) {
  return {packed(numbers[0], numbers[1]), packed(numbers[2], numbers[3]), packed(numbers[4], numbers[5]),
          packed(numbers[6], numbers[7])};
}

// A negative number as zero; NaN stays.
__device__ __forceinline__ float relu(float number) { return number < 0.0f ? 0.0f : number; }
