// What a thread has begun and not yet waited for: asynchronous copies and products of its warpgroup.
#pragma once

#include <cstddef>
#include <cstdint>
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

// What threads of a warpgroup must ask for alike: a product, or the end of a batch.
struct ProductStep {
  size_t sums;  // 0: the end of a batch
  uint64_t a, b;
  bool registers, add;
  bool operator==(const ProductStep& other) const {
    return sums == other.sums && a == other.a && b == other.b && registers == other.registers && add == other.add;
  }
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

// Registers of earlier products, as product_begin or a product left them.
struct KnownRegisters {
  const void* place;
  std::vector<unsigned char> bytes;
};

struct Pending {
  Batches<PendingCopy> copies;
  Batches<PendingProduct> products;
  std::vector<PendingSums> sums;
  std::vector<KnownRegisters> known;
  bool products_begun = false;
  size_t product_steps = 0;
};

Pending& pending();                           // of the running thread
std::vector<ProductStep>& product_steps();  // of its warpgroup, as far as any of its threads is

}  // namespace emulation
