// SwiGLU: checks and dispatch, some rows at a time.
#include "licorne/swiglu.h"

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, swiglu_forward_f32, (float* out, const float* x, int64_t begin, int64_t end, int64_t F));
LICORNE_ISA_DECLARE(void, swiglu_backward_f32,
                    (float* dx, const float* dout, const float* x, int64_t begin, int64_t end, int64_t F));

namespace {
constexpr int64_t kElementsPerTask = 8192;

int64_t rows_per_task(int64_t F) { return F >= kElementsPerTask ? 1 : kElementsPerTask / (F > 0 ? F : 1); }
}  // namespace
}  // namespace licorne

int32_t licorne_cpu_swiglu_forward(float* out, const float* x, int64_t N, int64_t F) {
  using namespace licorne;
  return guarded([&] {
    const int64_t count = checked_elements("swiglu_forward", N, F, 2);
    check_pointer("swiglu_forward", "out", out, count);
    check_pointer("swiglu_forward", "x", x, count);
    parallel_chunks(N, rows_per_task(F), [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(swiglu_forward_f32)(out, x, begin, end, F);
    });
  });
}

int32_t licorne_cpu_swiglu_backward(float* dx, const float* dout, const float* x, int64_t N, int64_t F) {
  using namespace licorne;
  return guarded([&] {
    const int64_t count = checked_elements("swiglu_backward", N, F, 2);
    check_pointer("swiglu_backward", "dx", dx, count);
    check_pointer("swiglu_backward", "dout", dout, count);
    check_pointer("swiglu_backward", "x", x, count);
    parallel_chunks(N, rows_per_task(F), [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(swiglu_backward_f32)(dx, dout, x, begin, end, F);
    });
  });
}
