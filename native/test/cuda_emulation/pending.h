// What a thread has begun and not yet waited for: asynchronous copies and products of its warpgroup.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace emulation {

constexpr unsigned char kPoison = 0xff;  // NaN in every floating type, -1 in integers

// Work in batches: an open one, and those that were committed, which end in their order.
template <typename Work>
class Batches {
 public:
  void add(Work work) { open_.push_back(std::move(work)); }
  void commit() { committed_.push_back(std::exchange(open_, {})); }
  bool is_open() const { return !open_.empty(); }
  // Ends committed batches until at most so many are left.
  template <typename End>
  void end(unsigned left, End end_work) {
    while (committed_.size() > left) {
      for (const Work& work : committed_.front()) end_work(work);
      committed_.erase(committed_.begin());
    }
  }

 private:
  std::vector<Work> open_;
  std::vector<std::vector<Work>> committed_;
};

struct PendingCopy {
  void* target;
  const void* source;
  size_t bytes, source_bytes;
};

struct PendingProduct {
  float* sums;
  std::function<void(float*)> compute;
};

// Sums of products that have not all happened: their values, while NaN stands where the kernel sees them.
struct PendingSums {
  float* place;
  std::vector<float> values;
  unsigned products;
};

struct Pending {
  Batches<PendingCopy> copies;
  Batches<PendingProduct> products;
  std::vector<PendingSums> sums;
  bool products_begun = false;
};

Pending& pending();  // of the running thread

}  // namespace emulation
