// Max-pooling of bf16 maps, channels-last. The first of equal values wins, and NaN wins over all, as in libtorch.
//
// A thread has eight channels of a pixel; a row of blocks has a row of pixels, so that there are few divisions. The forward pass
// keeps the tap that won, a byte each; the backward pass gathers, so that its sums have one order.
#include "vectors.cuh"

namespace {

constexpr int CHANNELS = 8;

struct Pool {
  int n, h, w, c;
  int out_h, out_w;
  int kernel, stride, above, left;
};

// KERNEL and STRIDE are those of `pool`, or 0 where they are not known beforehand.
template <int KERNEL, int STRIDE>
__device__ void max_pool(const bf16* xs, bf16* ys, unsigned char* winners, Pool pool) {
  const int kernel = KERNEL ? KERNEL : pool.kernel, stride = STRIDE ? STRIDE : pool.stride;
  const unsigned groups = pool.c / CHANNELS, place = blockIdx.x * blockDim.x + threadIdx.x;
  if (place >= groups * pool.out_w) return;
  const int channel = place % groups * CHANNELS;
  const int out_column = place / groups, column = out_column * stride - pool.left;
  for (unsigned line = blockIdx.y; line < unsigned(pool.n) * pool.out_h; line += gridDim.y) {
    const int row = int(line % pool.out_h) * stride - pool.above;
    const bf16* image = xs + size_t(line / pool.out_h) * pool.h * pool.w * pool.c + channel;
    float best[CHANNELS];
    // The first tap inside of the image, which wins where all values are minus infinity.
    int winner[CHANNELS];
    const int first = max(0, -row) * kernel + max(0, -column);
#pragma unroll
    for (int k = 0; k < CHANNELS; ++k) best[k] = -INFINITY, winner[k] = first;
#pragma unroll
    for (int down = 0; down < (KERNEL ? KERNEL : 15); ++down) {
      if (!KERNEL && down >= kernel) break;
      const bool inside = row + down >= 0 && row + down < pool.h;
#pragma unroll
      for (int across = 0; across < (KERNEL ? KERNEL : 15); ++across) {
        if (!KERNEL && across >= kernel) break;
        if (!inside || column + across < 0 || column + across >= pool.w) continue;
        float values[CHANNELS];
        widen(*reinterpret_cast<const uint4*>(image + (size_t(row + down) * pool.w + column + across) * pool.c), values);
#pragma unroll
        for (int k = 0; k < CHANNELS; ++k) {
          const bool wins = values[k] > best[k] || values[k] != values[k];
          best[k] = wins ? values[k] : best[k];
          winner[k] = wins ? down * kernel + across : winner[k];
        }
      }
    }
    const size_t out = (size_t(line) * pool.out_w + out_column) * pool.c + channel;
    *reinterpret_cast<uint4*>(ys + out) = narrowed(best);
    uint2 words = make_uint2(0, 0);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      words.x |= unsigned(winner[k]) << (8 * k);
      words.y |= unsigned(winner[k + 4]) << (8 * k);
    }
    *reinterpret_cast<uint2*>(winners + out) = words;
  }
}

// Adds the gradients of one window whose winner is `tap`.
__device__ __forceinline__ void add_won(uint4 gradient, uint2 winners, unsigned tap, float (&sums)[CHANNELS]) {
  // All bits of each byte that is the tap, then of each number.
  const unsigned taps = tap * 0x01010101u;
  const unsigned first = __vcmpeq4(winners.x, taps), second = __vcmpeq4(winners.y, taps);
  gradient.x &= __byte_perm(first, 0, 0x1100), gradient.y &= __byte_perm(first, 0, 0x3322);
  gradient.z &= __byte_perm(second, 0, 0x1100), gradient.w &= __byte_perm(second, 0, 0x3322);
  float values[CHANNELS];
  widen(gradient, values);
#pragma unroll
  for (int k = 0; k < CHANNELS; ++k) sums[k] += values[k];
}

template <int KERNEL, int STRIDE>
__device__ void max_pool_gradient(const bf16* gradient, const unsigned char* winners, bf16* inputs, Pool pool) {
  const int kernel = KERNEL ? KERNEL : pool.kernel, stride = STRIDE ? STRIDE : pool.stride;
  const unsigned groups = pool.c / CHANNELS, place = blockIdx.x * blockDim.x + threadIdx.x;
  if (place >= groups * pool.w) return;
  const int channel = place % groups * CHANNELS;
  const int own_column = place / groups, column = own_column + pool.left;
  // The windows that cover the pixel.
  const int start = column < kernel ? 0 : (column - kernel) / stride + 1;
  const int end = min(column / stride, pool.out_w - 1);
  for (unsigned line = blockIdx.y; line < unsigned(pool.n) * pool.h; line += gridDim.y) {
    const int row = int(line % pool.h) + pool.above;
    const size_t image = size_t(line / pool.h) * pool.out_h;
    float sums[CHANNELS] = {};
    const int top = row < kernel ? 0 : (row - kernel) / stride + 1;
    const int bottom = min(row / stride, pool.out_h - 1);
    for (int y = top; y <= bottom; ++y) {
      for (int x = start; x <= end; ++x) {
        const size_t at = ((image + y) * pool.out_w + x) * pool.c + channel;
        const unsigned tap = (row - y * stride) * kernel + column - x * stride;
        add_won(*reinterpret_cast<const uint4*>(gradient + at), *reinterpret_cast<const uint2*>(winners + at), tap, sums);
      }
    }
    *reinterpret_cast<uint4*>(inputs + (size_t(line) * pool.w + own_column) * pool.c + channel) = narrowed(sums);
  }
}

}  // namespace

#define MAX_POOL(NAME, KERNEL, STRIDE)                                                                                    \
  __global__ void __launch_bounds__(256) max_pool_forward##NAME(const bf16* xs, bf16* ys, unsigned char* winners,        \
                                                                Pool pool) {                                             \
    max_pool<KERNEL, STRIDE>(xs, ys, winners, pool);                                                                      \
  }                                                                                                                      \
  __global__ void __launch_bounds__(256) max_pool_backward##NAME(const bf16* gradient, const unsigned char* winners,     \
                                                                 bf16* inputs, Pool pool) {                              \
    max_pool_gradient<KERNEL, STRIDE>(gradient, winners, inputs, pool);                                                           \
  }

extern "C" {

MAX_POOL(_3_2, 3, 2)
MAX_POOL(, 0, 0)

}  // extern "C"
