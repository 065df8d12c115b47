// Runs the kernels of ../../cuda/ on a CPU, with the grids of ../../cpp/cuda_kernels.cpp, and compares them with plain loops.
// Whatever they must write is NaN before. Prints what is too far off, and fails if anything is.
#include "cuda_bf16.h"

#include <cstdio>
#include <functional>
#include <random>
#include <thread>
#include <vector>

// The memory that the threads of a block share, as either kernel names it.
constexpr size_t kRoom = 1 << 14;
float room[kRoom];
namespace {
float room[kRoom];
}

#include "../../cuda/kernels.cu"

namespace {

constexpr int kRows = 40, kThreads = 256, kBlocks = 264;

int parts_of(int64_t count, int64_t each) { return int((count + each - 1) / each); }

struct Grid {
  dim3 grid, block;
  Grid(int c, int per_thread, int64_t items, int blocks) {
    const int groups = parts_of(c, per_thread), across = std::min(32, groups), beside = parts_of(groups, across);
    block = {unsigned(across), unsigned(kThreads / across)};
    grid = {unsigned(beside), unsigned(std::clamp(parts_of(items, block.y), 1, std::max(1, blocks / beside)))};
  }
};

// Every thread of a block takes part in its barrier to the end: the kernels return early only after their last.
void launch(dim3 grid, dim3 block, const std::function<void()>& kernel) {
  const int count = int(block.x * block.y);
  std::barrier<> barrier(count);
  block_barrier = &barrier;
  std::vector<std::thread> threads;
  for (int self = 0; self < count; ++self) {
    threads.emplace_back([&, self] {
      threadIdx = {unsigned(self) % block.x, unsigned(self) / block.x};
      blockDim = block, gridDim = grid;
      for (unsigned y = 0; y < grid.y; ++y) {
        for (unsigned x = 0; x < grid.x; ++x) {
          blockIdx = {x, y};
          kernel();
          barrier.arrive_and_wait();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

std::mt19937 generator(1);

std::vector<bf16> noise(size_t count, bool whole = false) {
  std::normal_distribution<float> normal;
  std::vector<bf16> numbers(count);
  for (auto& number : numbers) {
    const float drawn = normal(generator);
    number = __float2bfloat16(whole ? std::round(drawn * 2) : drawn);
  }
  return numbers;
}

std::vector<bf16> unwritten(size_t count) { return std::vector<bf16>(count, bf16{0x7fc0}); }

std::vector<double> wide(const std::vector<bf16>& numbers) {
  std::vector<double> result;
  for (auto number : numbers) result.push_back(__bfloat162float(number));
  return result;
}

std::vector<double> wide(const std::vector<float>& numbers) { return {numbers.begin(), numbers.end()}; }

int failures = 0;

void compare(const char* what, const int (&shape)[4], const std::vector<double>& ours, const std::vector<double>& theirs,
             double bound) {
  double apart = 0, size = 0;
  for (size_t i = 0; i < theirs.size(); ++i) {
    apart += (ours[i] - theirs[i]) * (ours[i] - theirs[i]);
    size += theirs[i] * theirs[i];
  }
  const double error = std::sqrt(apart / (size + 1e-30));
  if (error <= bound) return;
  std::printf("%s of [%d, %d, %d, %d]: relative error %.1e\n", what, shape[0], shape[1], shape[2], shape[3], error);
  ++failures;
}

void check_depthwise(const int (&shape)[4], bool relu) {
  const auto [n, c, h, w] = shape;
  const size_t count = size_t(n) * c * h * w;
  const auto xs = noise(count), gradient = noise(count), kernels = noise(c * 9);
  auto ys = unwritten(count), inputs = unwritten(count), sums = unwritten(c * 9);
  const auto strips = [&](int columns) { return int64_t(n) * parts_of(w, columns) * parts_of(h, kRows); };
  const Grid forward(c, 4, strips(4), 64 * kBlocks), backward(c, 4, strips(2), kBlocks);
  launch(forward.grid, forward.block, [&] {
    (relu ? depthwise_forward_relu : depthwise_forward)(xs.data(), kernels.data(), ys.data(), n, h, w, c, kRows);
  });
  std::vector<float> partial(size_t(backward.grid.y) * c * 9, NAN);
  launch(backward.grid, backward.block, [&] {
    (relu ? depthwise_backward_relu : depthwise_backward)(xs.data(), kernels.data(), gradient.data(), inputs.data(),
                                                          partial.data(), n, h, w, c, kRows);
  });
  launch({unsigned(parts_of(c * 9, 128))}, {128},
         [&] { sum_of_parts(partial.data(), sums.data(), int(backward.grid.y), c * 9); });
  const auto x = wide(xs), g = wide(gradient), k = wide(kernels);
  std::vector<double> expected(count), of_map(count), of_kernels(c * 9);
  for (size_t at = 0; at < count; ++at) {
    const int channel = int(at % c), column = int(at / c % w), row = int(at / c / w % h);
    for (int tap = 0; tap < 9; ++tap) {
      const int y = row + tap / 3 - 1, across = column + tap % 3 - 1;
      if (y < 0 || y >= h || across < 0 || across >= w) continue;
      const size_t from = at + (int64_t(tap / 3 - 1) * w + tap % 3 - 1) * c;
      const double read = relu ? std::max(x[from], 0.0) : x[from];
      expected[at] += read * k[channel * 9 + tap];
      if (!relu || x[from] > 0) of_map[from] += g[at] * k[channel * 9 + tap];
      of_kernels[channel * 9 + tap] += read * g[at];
    }
  }
  compare("a depthwise convolution", shape, wide(ys), expected, 4e-3);
  compare("its gradient in the map", shape, wide(inputs), of_map, 4e-3);
  compare("its gradient in the kernels", shape, wide(sums), of_kernels, 4e-3);
}

template <typename Forward, typename Backward>
void check_pool(const int (&shape)[4], Forward forward, Backward backward) {
  const auto [n, c, h, w] = shape;
  const Pool pool{n, h, w, c, (h + 1) / 2, (w + 1) / 2, 3, 2, 1, 1};
  const size_t count = size_t(n) * c * h * w, outputs = size_t(n) * c * pool.out_h * pool.out_w;
  // Whole numbers are often equal: the first of them wins.
  const auto xs = noise(count, true), gradient = noise(outputs);
  auto ys = unwritten(outputs), inputs = unwritten(count);
  std::vector<unsigned char> winners(outputs, 255);
  const auto lines = [&](int h, int w) {
    return dim3{unsigned(parts_of(int64_t(w) * (c / 8), kThreads)), unsigned(std::min(n * h, 65535))};
  };
  launch(lines(pool.out_h, pool.out_w), {kThreads}, [&] { forward(xs.data(), ys.data(), winners.data(), pool); });
  launch(lines(h, w), {kThreads}, [&] { backward(gradient.data(), winners.data(), inputs.data(), pool); });
  const auto x = wide(xs), g = wide(gradient);
  std::vector<double> expected(outputs), of_map(count);
  for (size_t at = 0; at < outputs; ++at) {
    const size_t channel = at % c, column = at / c % pool.out_w, row = at / c / pool.out_w % pool.out_h;
    const size_t image = at / c / pool.out_w / pool.out_h;
    double best = -INFINITY;
    size_t winner = 0;
    for (int tap = 0; tap < 9; ++tap) {
      const int y = int(row) * 2 - 1 + tap / 3, across = int(column) * 2 - 1 + tap % 3;
      if (y < 0 || y >= h || across < 0 || across >= w) continue;
      const size_t from = ((image * h + y) * w + across) * c + channel;
      if (x[from] > best) best = x[from], winner = from;
    }
    expected[at] = best;
    of_map[winner] += g[at];
  }
  compare("a max-pool", shape, wide(ys), expected, 0);
  compare("its gradient", shape, wide(inputs), of_map, 4e-3);
}

void check_norm(const int (&shape)[4]) {
  const auto [n, c, h, w] = shape;
  const long long pixels = (long long)n * h * w;
  auto xs = noise(size_t(pixels) * c);
  // Far from zero, where squares would cancel.
  for (auto& number : xs) number = __float2bfloat16(__bfloat162float(number) + 20);
  const Grid grid(c, 8, (pixels + 3) / 4, kBlocks);
  std::vector<float> partial(size_t(grid.grid.y) * 2 * c, NAN), mean(c, NAN), inverse(c, NAN), running_mean(c, 0),
      running_variance(c, 1);
  launch(grid.grid, grid.block, [&] { norm_sums(xs.data(), partial.data(), pixels, c); });
  launch({unsigned(parts_of(c, 64))}, {64}, [&] {
    norm_finish(xs.data(), partial.data(), mean.data(), inverse.data(), running_mean.data(), running_variance.data(),
                int(grid.grid.y), c, pixels, 1e-3, 0.1, 1.0);
  });
  const auto x = wide(xs);
  std::vector<double> means(c), inverses(c), means_running(c), variances_running(c);
  for (int channel = 0; channel < c; ++channel) {
    double sum = 0, square = 0;
    for (long long pixel = 0; pixel < pixels; ++pixel) sum += x[pixel * c + channel];
    means[channel] = sum / pixels;
    for (long long pixel = 0; pixel < pixels; ++pixel) {
      const double centred = x[pixel * c + channel] - means[channel];
      square += centred * centred;
    }
    inverses[channel] = 1 / std::sqrt(square / pixels + 1e-3);
    means_running[channel] = 0.1 * means[channel];
    variances_running[channel] = 0.9 + 0.1 * square / std::max(pixels - 1.0, 1.0);
  }
  compare("a mean", shape, wide(mean), means, 1e-6);
  compare("an inverse deviation", shape, wide(inverse), inverses, 1e-5);
  compare("a running mean", shape, wide(running_mean), means_running, 1e-6);
  compare("a running variance", shape, wide(running_variance), variances_running, 1e-5);
}

}  // namespace

int main() {
  const int shapes[][4] = {{4, 64, 16, 16}, {4, 728, 2, 2}, {4, 2048, 1, 1}, {3, 128, 9, 5}, {3, 40, 7, 7}, {2, 16, 45, 3}};
  for (const auto& shape : shapes) {
    check_depthwise(shape, false);
    check_depthwise(shape, true);
    check_pool(shape, max_pool_forward_3_2, max_pool_backward_3_2);
    check_pool(shape, max_pool_forward, max_pool_backward);
    check_norm(shape);
  }
  return failures != 0;
}
