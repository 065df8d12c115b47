// Where the memory of tensors comes from, and where it stays between two steps.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
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

// Large blocks from one range of addresses: the smallest free block that is large enough is split, and a freed one is
// joined with its free neighbours. Sizes recur from step to step, so after the first nothing is asked of
// the system, and hardly more is held than was in use at once.
class KeepingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    // A size close to the largest number must not be rounded up: it would become 0.
    if (bytes >= kLarge && bytes <= end_) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (void* data = take(rounded(bytes, kGranule))) {
        return {data, data, &give_back, c10::Device(c10::DeviceType::CPU)};
      }
    }
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
  KeepingAllocator() {
    // Addresses for the memory of the machine, and no more: a larger request gets libtorch's error, not the system's.
    const size_t memory = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGE_SIZE));
    void* start = mmap(nullptr, memory + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    // Where addresses are rationed every allocation is the default allocator's.
    if (start == MAP_FAILED) return;
    base_ = reinterpret_cast<char*>(rounded(reinterpret_cast<uintptr_t>(start), kHugePage));
    end_ = memory;
  }

  void* take(size_t size) {
    size_t at;
    auto fitting = by_size_.lower_bound({size, 0});
    if (fitting != by_size_.end()) {
      const size_t whole = fitting->first;
      at = fitting->second;
      forget(at, whole);
      if (whole > size) remember(at + size, whole - size);
    } else {
      if (size > end_ - top_) return nullptr;
      at = top_;
      top_ += size;
      // Marked once, when it is first reached.
      if (top_ > marked_) {
        const size_t more = rounded(top_ - marked_, kHugePage);
        madvise(base_ + marked_, more, MADV_HUGEPAGE);
        marked_ += more;
      }
    }
    live_.emplace(base_ + at, size);
    return base_ + at;
  }

  void remember(size_t at, size_t size) {
    auto next = by_place_.lower_bound(at);
    if (next != by_place_.end() && at + size == next->first) {
      const size_t more = next->second;
      forget(at + size, more);
      size += more;
    }
    auto after = by_place_.lower_bound(at);
    if (after != by_place_.begin()) {
      auto before = std::prev(after);
      if (before->first + before->second == at) {
        const size_t start = before->first, more = before->second;
        forget(start, more);
        at = start;
        size += more;
      }
    }
    if (at + size == top_) {
      top_ = at;
      return;
    }
    by_place_.emplace(at, size);
    by_size_.emplace(size, at);
  }

  void forget(size_t at, size_t size) {
    by_place_.erase(at);
    by_size_.erase({size, at});
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
    const size_t size = found->second;
    self.live_.erase(found);
    self.remember(static_cast<char*>(data) - self.base_, size);
  }

  std::mutex mutex_;
  char* base_ = nullptr;
  size_t end_ = 0;
  // Everything from here on is free, and everything below `marked_` is in huge pages.
  size_t top_ = 0, marked_ = 0;
  std::map<size_t, size_t> by_place_;
  std::set<std::pair<size_t, size_t>> by_size_;
  std::unordered_map<void*, size_t> live_;
};

#endif

}  // namespace

extern "C" {

// A hint: the system may have no large pages, and memory that fills none has no use for them.
void torch_ext_use_large_pages(void* start, size_t bytes) {
#if defined(__linux__)
  if (reinterpret_cast<uintptr_t>(start) % kHugePage == 0) madvise(start, bytes, MADV_HUGEPAGE);
#endif
}

// Once, before the first tensor.
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
