// Softmax: checks and dispatch, a row at a time.
#include "licorne/softmax.h"

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, softmax_forward_f32, (float* out, const float* x, int64_t V, int64_t Vp));
LICORNE_ISA_DECLARE(void, softmax_backward_f32,
                    (float* dx, const float* dout, const float* out, int64_t V, int64_t Vp));

namespace {

// Rows of about this many elements together make a task.
constexpr int64_t kElementsPerTask = 16384;

int64_t rows_per_task(int64_t Vp) { return Vp >= kElementsPerTask ? 1 : kElementsPerTask / (Vp > 0 ? Vp : 1); }

int64_t check(const char* op, int64_t N, int64_t V, int64_t Vp) {
  const int64_t count = checked_elements(op, N, Vp);
  if (V < 0 || V > Vp)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: V = %lld is not within Vp = %lld", op, (long long)V, (long long)Vp);
  return count;
}

}  // namespace
}  // namespace licorne

int32_t licorne_cpu_softmax_forward(float* out, const float* x, int64_t N, int64_t V, int64_t Vp) {
  using namespace licorne;
  return guarded([&] {
    const int64_t count = check("softmax_forward", N, V, Vp);
    check_pointer("softmax_forward", "out", out, count);
    check_pointer("softmax_forward", "x", x, count);
    parallel_chunks(N, rows_per_task(Vp), [&](int64_t begin, int64_t end, int) {
      for (int64_t n = begin; n < end; n++) LICORNE_ISA_CALL(softmax_forward_f32)(out + n * Vp, x + n * Vp, V, Vp);
    });
  });
}

int32_t licorne_cpu_softmax_backward(float* dx, const float* dout, const float* out, int64_t N, int64_t V, int64_t Vp) {
  using namespace licorne;
  return guarded([&] {
    const int64_t count = check("softmax_backward", N, V, Vp);
    check_pointer("softmax_backward", "dx", dx, count);
    check_pointer("softmax_backward", "dout", dout, count);
    check_pointer("softmax_backward", "out", out, count);
    parallel_chunks(N, rows_per_task(Vp), [&](int64_t begin, int64_t end, int) {
      for (int64_t n = begin; n < end; n++)
        LICORNE_ISA_CALL(softmax_backward_f32)(dx + n * Vp, dout + n * Vp, out + n * Vp, V, Vp);
    });
  });
}
