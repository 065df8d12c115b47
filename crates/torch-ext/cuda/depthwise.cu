// Depthwise convolution of bf16 maps, channels-last: 3x3 kernels, stride 1, one pixel of padding.
//
// A thread has four channels and a strip of pixels, COLUMNS wide, which it walks from the top. What it loaded of one row
// serves three rows of the result. A ReLU that is pending on the map is applied on the way in.
//
// The grid is [groups of channels, parts of the strips]; blockDim.x threads have other channels, blockDim.y other strips.
#include "vectors.cuh"

namespace {

constexpr int TAPS = 9;

struct Map {
  int n, h, w, c;
};

// The strips of all images, `rows` high.
template <int COLUMNS>
struct Strips {
  Map map;
  int rows, across, down, count;

  __device__ Strips(Map map, int rows) : map(map), rows(rows) {
    across = (map.w + COLUMNS - 1) / COLUMNS;
    down = (map.h + rows - 1) / rows;
    count = map.n * across * down;
  }
};

// COLUMNS + 2 pixels of a row, as they lie in memory; zeros outside of the image.
template <int COLUMNS>
__device__ __forceinline__ void load_row(const bf16* image, Map map, int row, int column,
                                         uint2 (&pixels)[COLUMNS + 2]) {
  const bool inside = row >= 0 && row < map.h;
#pragma unroll
  for (int i = 0; i < COLUMNS + 2; ++i) {
    const int at = column + i - 1;
    pixels[i] = make_uint2(0, 0);
    if (inside && at >= 0 && at < map.w) {
      pixels[i] = *reinterpret_cast<const uint2*>(image + (size_t(row) * map.w + at) * map.c);
    }
  }
}

// The kernels of four channels, as they lie in memory: fp32 would need twice the registers.
__device__ __forceinline__ void load_kernels(const bf16* kernels, int channel, uint2 (&taps)[TAPS]) {
  const auto* words = reinterpret_cast<const unsigned short*>(kernels) + channel * TAPS;
#pragma unroll
  for (int tap = 0; tap < TAPS; ++tap) {
    taps[tap].x = words[tap] | unsigned(words[TAPS + tap]) << 16;
    taps[tap].y = words[2 * TAPS + tap] | unsigned(words[3 * TAPS + tap]) << 16;
  }
}

// Keeps the compiler from widening all taps before a loop, for which there are not enough registers.
__device__ __forceinline__ void keep_narrow(uint2 (&taps)[TAPS]) {
#pragma unroll
  for (int tap = 0; tap < TAPS; ++tap) asm volatile("" : "+r"(taps[tap].x), "+r"(taps[tap].y));
}

template <bool RELU, int COLUMNS>
__device__ void depthwise(const bf16* xs, const bf16* kernels, bf16* ys, Map map, int rows) {
  const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  if (channel >= map.c) return;
  float taps[TAPS][4];
  {
    uint2 narrow[TAPS];
    load_kernels(kernels, channel, narrow);
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) widen(narrow[tap], taps[tap]);
  }
  const Strips<COLUMNS> strips(map, rows);
  for (int strip = blockIdx.y * blockDim.y + threadIdx.y; strip < strips.count; strip += gridDim.y * blockDim.y) {
    const int column = strip % strips.across * COLUMNS;
    const int top = strip / strips.across % strips.down * rows;
    const size_t image = size_t(strip / strips.across / strips.down) * map.h * map.w * map.c + channel;
    const int bottom = min(top + rows, map.h);
    // Of the rows of the result above, at and below the row that is being read.
    float sums[3][COLUMNS][4] = {};
    // The next row is on its way while one is being added up.
    uint2 pixels[COLUMNS + 2], next[COLUMNS + 2];
    load_row<COLUMNS>(xs + image, map, top - 1, column, pixels);
#pragma unroll 1
    for (int row = top - 1; row <= bottom; ++row) {
      load_row<COLUMNS>(xs + image, map, row < bottom ? row + 1 : -1, column, next);
#pragma unroll
      for (int i = 0; i < COLUMNS + 2; ++i) {
        float numbers[4];
        widen(pixels[i], numbers);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          if (RELU) numbers[k] = relu(numbers[k]);
#pragma unroll
          for (int across = 0; across < 3; ++across) {
            const int place = i - across;
            if (place < 0 || place >= COLUMNS) continue;
#pragma unroll
            for (int down = 0; down < 3; ++down) sums[2 - down][place][k] += numbers[k] * taps[down * 3 + across][k];
          }
        }
      }
      if (row > top) {
        bf16* line = ys + image + (size_t(row - 1) * map.w + column) * map.c;
#pragma unroll
        for (int i = 0; i < COLUMNS; ++i) {
          if (column + i < map.w) *reinterpret_cast<uint2*>(line + size_t(i) * map.c) = narrowed(sums[0][i]);
        }
      }
#pragma unroll
      for (int i = 0; i < COLUMNS; ++i) {
#pragma unroll
        for (int k = 0; k < 4; ++k) sums[0][i][k] = sums[1][i][k], sums[1][i][k] = sums[2][i][k], sums[2][i][k] = 0.0f;
      }
#pragma unroll
      for (int i = 0; i < COLUMNS + 2; ++i) pixels[i] = next[i];
    }
  }
}

// COLUMNS pixels of a row of the map; zeros outside of it.
template <int COLUMNS>
__device__ __forceinline__ void load_inner(const bf16* image, Map map, int row, int column, uint2 (&pixels)[COLUMNS]) {
#pragma unroll
  for (int i = 0; i < COLUMNS; ++i) {
    pixels[i] = make_uint2(0, 0);
    if (row < map.h && column + i < map.w) {
      pixels[i] = *reinterpret_cast<const uint2*>(image + (size_t(row) * map.w + column + i) * map.c);
    }
  }
}

// The gradient of the map, where `inputs` is not null, and for each part of the grid its sum of the gradient of the
// kernels, `[gridDim.y, c, TAPS]`. Each pixel of the map meets its nine neighbours in `gradient` once for both.
template <bool RELU, int COLUMNS>
__device__ void depthwise_gradients(const bf16* xs, const bf16* kernels, const bf16* gradient, bf16* inputs, float* partial, Map map,
                         int rows) {
  extern __shared__ float room[];
  const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  float sums[TAPS][4] = {};
  if (channel < map.c) {
    uint2 taps[TAPS];
    load_kernels(kernels, channel, taps);
    const Strips<COLUMNS> strips(map, rows);
#pragma unroll 1
    for (int strip = blockIdx.y * blockDim.y + threadIdx.y; strip < strips.count; strip += gridDim.y * blockDim.y) {
      const int column = strip % strips.across * COLUMNS;
      const int top = strip / strips.across % strips.down * rows;
      const size_t image = size_t(strip / strips.across / strips.down) * map.h * map.w * map.c + channel;
      const int bottom = min(top + rows, map.h);
      // The rows of the gradient above, at and below the row of the map; the next ones are on their way meanwhile.
      uint2 window[3][COLUMNS + 2], next[COLUMNS + 2], values[COLUMNS], following[COLUMNS];
      load_row<COLUMNS>(gradient + image, map, top - 1, column, window[0]);
      load_row<COLUMNS>(gradient + image, map, top, column, window[1]);
      load_row<COLUMNS>(gradient + image, map, top + 1, column, window[2]);
      load_inner<COLUMNS>(xs + image, map, top, column, values);
#pragma unroll 1
      for (int row = top; row < bottom; ++row) {
        load_row<COLUMNS>(gradient + image, map, row + 2, column, next);
        load_inner<COLUMNS>(xs + image, map, row + 1, column, following);
        keep_narrow(taps);
        float into[COLUMNS][4] = {};
#pragma unroll
        for (int down = 0; down < 3; ++down) {
#pragma unroll
          for (int i = 0; i < COLUMNS + 2; ++i) {
            // A pixel of the gradient, and the places of the strip that it belongs to.
            float above[4];
            widen(window[2 - down][i], above);
#pragma unroll
            for (int place = 0; place < COLUMNS; ++place) {
              const int across = place + 2 - i;
              if (across < 0 || across > 2) continue;
              float tap[4], value[4];
              widen(taps[down * 3 + across], tap);
              widen(values[place], value);
#pragma unroll
              for (int k = 0; k < 4; ++k) {
                sums[down * 3 + across][k] += (RELU ? relu(value[k]) : value[k]) * above[k];
                into[place][k] += tap[k] * above[k];
              }
            }
          }
        }
        if (inputs) {
          bf16* line = inputs + image + (size_t(row) * map.w + column) * map.c;
#pragma unroll
          for (int i = 0; i < COLUMNS; ++i) {
            if (column + i >= map.w) continue;
            float value[4];
            widen(values[i], value);
#pragma unroll
            for (int k = 0; k < 4; ++k) {
              if (RELU && !(value[k] > 0.0f)) into[i][k] = 0.0f;
            }
            *reinterpret_cast<uint2*>(line + size_t(i) * map.c) = narrowed(into[i]);
          }
        }
#pragma unroll
        for (int i = 0; i < COLUMNS + 2; ++i) window[0][i] = window[1][i], window[1][i] = window[2][i], window[2][i] = next[i];
#pragma unroll
        for (int i = 0; i < COLUMNS; ++i) values[i] = following[i];
      }
    }
  }
  // Threads of the same channels, in a fixed order.
  const int threads = blockDim.x * blockDim.y, self = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int tap = 0; tap < TAPS; ++tap) {
#pragma unroll
    for (int k = 0; k < 4; ++k) room[(tap * 4 + k) * threads + self] = sums[tap][k];
  }
  __syncthreads();
  if (channel >= map.c) return;
  for (int place = threadIdx.y; place < TAPS * 4; place += blockDim.y) {
    float sum = 0.0f;
    for (int y = 0; y < blockDim.y; ++y) sum += room[place * threads + y * blockDim.x + threadIdx.x];
    partial[(size_t(blockIdx.y) * map.c + channel + place % 4) * TAPS + place / 4] = sum;
  }
}

}  // namespace

#define DEPTHWISE(NAME, RELU)                                                                                            \
  __global__ void __launch_bounds__(256, 2) depthwise_forward##NAME(const bf16* xs, const bf16* kernels, bf16* ys,       \
                                                                    int n, int h, int w, int c, int rows) {              \
    depthwise<RELU, 4>(xs, kernels, ys, {n, h, w, c}, rows);                                                             \
  }                                                                                                                      \
  __global__ void __launch_bounds__(256, 2) depthwise_backward##NAME(const bf16* xs, const bf16* kernels,                \
                                                                     const bf16* gradient, bf16* inputs, float* partial, \
                                                                     int n, int h, int w, int c, int rows) {             \
    depthwise_gradients<RELU, 2>(xs, kernels, gradient, inputs, partial, {n, h, w, c}, rows);                            \
  }

extern "C" {

DEPTHWISE(, false)
DEPTHWISE(_relu, true)

// Adds up `parts` rows of `count` sums, each in order: `[parts, count]` to `[count]`.
__global__ void sum_of_parts(const float* partial, bf16* total, int parts, int count) {
  const int place = blockIdx.x * blockDim.x + threadIdx.x;
  if (place >= count) return;
  float sum = 0.0f;
#pragma unroll 8
  for (int part = 0; part < parts; ++part) sum += partial[size_t(part) * count + place];
  total[place] = __float2bfloat16(sum);
}

}  // extern "C"
