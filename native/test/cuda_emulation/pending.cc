#include "pending.h"

#include <algorithm>
#include <cstring>

#include "cuda_emulation.h"

namespace emulation {

void async_copy(void* target, const void* source, size_t bytes, size_t source_bytes) {
  touched(target, bytes, races::kWrite);
  memset(target, kPoison, bytes);
  pending().copies.add({target, source, bytes, source_bytes});
}

void async_commit() { pending().copies.commit(); }

void async_wait(unsigned left) {
  pending().copies.end(left, [](const PendingCopy& copy) {
    touched(copy.source, copy.source_bytes, races::kRead);
    touched(copy.target, copy.bytes, races::kWrite);
    memcpy(copy.target, copy.source, copy.source_bytes);
    memset(static_cast<char*>(copy.target) + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
  });
}

namespace {
std::vector<PendingSums>::iterator sums_at(const float* place) {
  std::vector<PendingSums>& all = pending().sums;
  return std::find_if(all.begin(), all.end(), [=](const PendingSums& sums) { return sums.place == place; });
}

// Reads places of which other variables may have taken hold since, so neither the sanitizer nor memcpy may see it.
#if defined(__GNUC__)
__attribute__((no_sanitize("address")))
#endif
void remember(KnownRegisters& known) {
  const volatile unsigned char* place = static_cast<const volatile unsigned char*>(known.place);
  for (size_t i = 0; i < known.bytes.size(); i++) known.bytes[i] = place[i];
}

KnownRegisters& known_registers(const void* place, size_t bytes) {
  std::vector<KnownRegisters>& all = pending().known;
  for (KnownRegisters& known : all)
    if (known.place == place && known.bytes.size() == bytes) return known;
  all.push_back({place, std::vector<unsigned char>(bytes)});
  remember(all.back());
  return all.back();
}

// Known since an earlier product, they were looked at by the last product_begin.
void check_registers(const void* place, size_t bytes) {
  if (memcmp(known_registers(place, bytes).bytes.data(), place, bytes) != 0)
    fault("registers of a product changed after product_begin");
}

void next_step(const ProductStep& step) {
  std::vector<ProductStep>& steps = product_steps();
  const size_t number = pending().product_steps++;
  if (number == steps.size()) steps.push_back(step);
  if (!(steps[number] == step)) fault("threads of a warpgroup ask for different products");
}
}  // namespace

void product_begin() {
  pending().products_begun = true;
  for (KnownRegisters& known : pending().known) remember(known);
}

void product(float* sums, size_t count, const ProductOperands& operands, std::function<void(float*)> compute) {
  Pending& mine = pending();
  if (!mine.products_begun) fault("a product of a warpgroup without product_begin since the last wait");
  next_step({count, operands.a, operands.b, operands.registers != nullptr, operands.add});
  if (operands.add) check_registers(sums, count * sizeof(float));
  if (operands.registers != nullptr) check_registers(operands.registers, sizeof *operands.registers);
  auto found = sums_at(sums);
  if (found == mine.sums.end()) {
    found = mine.sums.insert(found, {sums, {sums, sums + count}, 0});
    memset(sums, kPoison, count * sizeof(float));
  }
  remember(known_registers(sums, count * sizeof(float)));
  found->products++;
  mine.products.add({sums, std::move(compute)});
  races::begin_work(races::product_actor(current->warp), number_of(*current));
}

void product_reads(const void* address, size_t bytes) {
  races::touch(races::product_actor(current->warp), address, bytes, races::kRead);
}

void product_commit() {
  next_step({});
  pending().products.commit();
}

void product_wait(unsigned left) {
  Pending& mine = pending();
  if (mine.products.is_open()) fault("product_wait after products that were not committed");
  mine.products_begun = false;
  races::end_work(races::product_actor(current->warp), number_of(*current));
  mine.products.end(left, [&](const PendingProduct& product) {
    const auto sums = sums_at(product.sums);
    {
      const Unseen unseen;
      product.compute(sums->values.data());
    }
    if (--sums->products > 0) return;
    std::copy(sums->values.begin(), sums->values.end(), sums->place);
    mine.sums.erase(sums);
  });
}

}  // namespace emulation
