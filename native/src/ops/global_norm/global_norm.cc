// Global norm: fixed chunks, one double each, summed in order: the same bits for any number of threads.
#include "licorne/global_norm.h"

#include <cmath>

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(double, sum_of_squares_f32, (const float* x, int64_t count));

namespace {
constexpr int64_t kElementsPerChunk = 65536;
}
}  // namespace licorne

int64_t licorne_cpu_global_norm_workspace_bytes(int64_t count) {
  return (count + licorne::kElementsPerChunk - 1) / licorne::kElementsPerChunk * static_cast<int64_t>(sizeof(double));
}

int32_t licorne_cpu_global_norm(float* out, const float* x, void* workspace, int64_t count) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("global_norm", count);
    double* partials = static_cast<double*>(workspace);
    check_pointer("global_norm", "out", out, 1);
    check_pointer("global_norm", "x", x, count);
    check_pointer("global_norm", "workspace", partials, count);
    parallel_chunks(count, kElementsPerChunk, [&](int64_t begin, int64_t end, int) {
      partials[begin / kElementsPerChunk] = LICORNE_ISA_CALL(sum_of_squares_f32)(x + begin, end - begin);
    });
    double total = 0.0;
    for (int64_t chunk = 0; chunk * kElementsPerChunk < count; chunk++) total += partials[chunk];
    out[0] = static_cast<float>(std::sqrt(total));
  });
}
