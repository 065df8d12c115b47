// Statistics of bf16 maps for batch norm, channels-last: the mean and variance of every channel over all pixels.
//
// A thread has eight channels, and every so many pixels of its part. It sums differences to the first pixel of the map,
// which keeps the small variance of large numbers.
#include "vectors.cuh"

extern "C" {

// For each part of the grid and channel the sums of the differences and of their squares, `[gridDim.y, 2, c]`.
__global__ void __launch_bounds__(256) norm_sums(const bf16* xs, float* partial, long long pixels, int c) {
  extern __shared__ float room[];
  const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
  const int threads = blockDim.x * blockDim.y, self = threadIdx.y * blockDim.x + threadIdx.x;
  float sums[8] = {}, squares[8] = {};
  if (channel < c) {
    float shift[8];
    widen(*reinterpret_cast<const uint4*>(xs + channel), shift);
    const long long step = (long long)gridDim.y * blockDim.y;
#pragma unroll 4
    for (long long pixel = blockIdx.y * blockDim.y + threadIdx.y; pixel < pixels; pixel += step) {
      float values[8];
      widen(*reinterpret_cast<const uint4*>(xs + pixel * c + channel), values);
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        const float difference = values[k] - shift[k];
        sums[k] += difference;
        squares[k] += difference * difference;
      }
    }
  }
#pragma unroll
  for (int k = 0; k < 8; ++k) room[k * threads + self] = sums[k], room[(8 + k) * threads + self] = squares[k];
  __syncthreads();
  if (channel >= c) return;
  for (int place = threadIdx.y; place < 16; place += blockDim.y) {
    float sum = 0.0f;
    for (int y = 0; y < blockDim.y; ++y) sum += room[place * threads + y * blockDim.x + threadIdx.x];
    partial[(size_t(blockIdx.y) * 2 + place / 8) * c + channel + place % 8] = sum;
  }
}

// Mean and inverse deviation from the sums of all parts, and the running statistics moved towards them, where there are any.
__global__ void norm_finish(const bf16* xs, const float* partial, float* mean, float* inverse_deviation,
                            float* running_mean, float* running_variance, int parts, int c, long long pixels, double eps,
                            double momentum, double correction) {
  const int channel = blockIdx.x * blockDim.x + threadIdx.x;
  if (channel >= c) return;
  double sum = 0.0, square = 0.0;
#pragma unroll 8
  for (int part = 0; part < parts; ++part) {
    sum += partial[size_t(part) * 2 * c + channel];
    square += partial[(size_t(part) * 2 + 1) * c + channel];
  }
  const double difference = sum / pixels;
  const double centre = __bfloat162float(xs[channel]) + difference;
  const double variance = fmax(square / pixels - difference * difference, 0.0);
  mean[channel] = centre;
  inverse_deviation[channel] = rsqrt(variance + eps);
  if (running_mean) {
    const double entering = variance * pixels / fmax(pixels - correction, 1.0);
    running_mean[channel] += momentum * (centre - running_mean[channel]);
    running_variance[channel] += momentum * (entering - running_variance[channel]);
  }
}

}  // extern "C"
