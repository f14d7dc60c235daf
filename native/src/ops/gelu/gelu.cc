// GELU: checks and dispatch.
#include "licorne/gelu.h"

#include <algorithm>

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, gelu_forward_f32, (float* out, const float* x, int64_t count));
LICORNE_ISA_DECLARE(void, gelu_backward_f32, (float* dx, const float* dout, const float* x, int64_t count));

namespace {
// Few elements, of one token's decoding, are cut too: half of them lie in the cache of another processor, which has computed
// them.
int64_t elements_per_task(int64_t count) {
  return std::min<int64_t>(16384, std::max<int64_t>(512, (count / 8 + 63) / 64 * 64));
}
}  // namespace
}  // namespace licorne

int32_t licorne_cpu_gelu_forward(float* out, const float* x, int64_t count) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("gelu_forward", count);
    check_pointer("gelu_forward", "out", out, count);
    check_pointer("gelu_forward", "x", x, count);
    parallel_chunks(count, elements_per_task(count), [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(gelu_forward_f32)(out + begin, x + begin, end - begin);
    });
  });
}

int32_t licorne_cpu_gelu_backward(float* dx, const float* dout, const float* x, int64_t count) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("gelu_backward", count);
    check_pointer("gelu_backward", "dx", dx, count);
    check_pointer("gelu_backward", "dout", dout, count);
    check_pointer("gelu_backward", "x", x, count);
    parallel_chunks(count, elements_per_task(count), [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(gelu_backward_f32)(dx + begin, dout + begin, x + begin, end - begin);
    });
  });
}
