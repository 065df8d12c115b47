// Where the memory of tensors comes from, and where it stays between two steps.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace {

#if defined(__linux__)

constexpr size_t kLarge = size_t(1) << 20;
constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kGranule = size_t(64) << 10;

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Hands large blocks out, keeps them when they come back, and gives them out again for sizes that nearly fit.
// Idle and live blocks together stay below 1.25 times the most that was ever live at once.
class KeepingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes >= kLarge) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (void* data = take(bytes)) return {data, data, &give_back, c10::Device(c10::DeviceType::CPU)};
    }
    // Also where there is no memory: it says so in libtorch's own words.
    return c10::GetDefaultCPUAllocator()->allocate(bytes);
  }

  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }

  void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }

  static KeepingAllocator& instance() {
    // Never destroyed: tensors in statics outlive everything.
    static auto* allocator = new KeepingAllocator();
    return *allocator;
  }

 private:
  void* take(size_t bytes) {
    auto found = idle_.lower_bound(bytes);
    size_t size = rounded(bytes, kGranule);
    void* data = nullptr;
    if (found != idle_.end() && found->first <= bytes + bytes / 4) {
      std::tie(size, data) = *found;
      idle_.erase(found);
      idle_bytes_ -= size;
    } else {
      const size_t allowed = most_live_ + most_live_ / 4;
      while (!idle_.empty() && live_bytes_ + idle_bytes_ + size > allowed) unmap_largest();
      while (!(data = map(size)) && !idle_.empty()) unmap_largest();
      if (!data) return nullptr;
    }
    live_.emplace(data, size);
    live_bytes_ += size;
    most_live_ = std::max(most_live_, live_bytes_);
    return data;
  }

  // Huge pages want addresses that are multiples of their size: map more, and unmap what is over at both ends.
  static void* map(size_t size) {
    const size_t whole = size + kHugePage;
    void* start = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return nullptr;
    const auto address = reinterpret_cast<uintptr_t>(start);
    const uintptr_t aligned = rounded(address, kHugePage);
    if (aligned > address) munmap(start, aligned - address);
    const uintptr_t end = address + whole;
    if (end > aligned + size) munmap(reinterpret_cast<void*>(aligned + size), end - aligned - size);
    void* data = reinterpret_cast<void*>(aligned);
    madvise(data, size, MADV_HUGEPAGE);
    return data;
  }

  void unmap_largest() {
    auto largest = std::prev(idle_.end());
    munmap(largest->second, largest->first);
    idle_bytes_ -= largest->first;
    idle_.erase(largest);
  }

  static void give_back(void* data) {
    auto& self = instance();
    std::unique_lock<std::mutex> lock(self.mutex_);
    auto found = self.live_.find(data);
    if (found == self.live_.end()) {
      lock.unlock();
      c10::GetDefaultCPUAllocator()->raw_deleter()(data);
      return;
    }
    self.live_bytes_ -= found->second;
    self.idle_bytes_ += found->second;
    self.idle_.emplace(found->second, data);
    self.live_.erase(found);
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> idle_;
  std::unordered_map<void*, size_t> live_;
  size_t idle_bytes_ = 0, live_bytes_ = 0, most_live_ = 0;
};

#endif

}  // namespace

extern "C" {

// Once, ahead of the first tensor.
void torch_ext_keep_memory() {
#if defined(__linux__)
  c10::SetCPUAllocator(&KeepingAllocator::instance(), /*priority=*/1);
#endif
#if defined(__GLIBC__)
  // glibc gives a freed block of over 128 kB back to the system, and the next step pays a page fault for every
  // 4 kB of it.
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}

}  // extern "C"
