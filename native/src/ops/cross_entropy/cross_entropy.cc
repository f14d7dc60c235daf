// Cross-entropy: checks and dispatch, a row at a time.
#include "licorne/cross_entropy.h"

#include <algorithm>

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(float, cross_entropy_forward_f32,
                    (const float* logits, int32_t target, int64_t V, float label_smoothing, float z_loss));
LICORNE_ISA_DECLARE(float, cross_entropy_backward_f32,
                    (float* dlogits, const float* logits, int32_t target, int64_t V, int64_t Vp, float scale,
                     float label_smoothing, float z_loss));

namespace {

constexpr int64_t kElementsPerTask = 16384;
// Long rows come up to eight a task, where there are enough of them for many threads.
constexpr int64_t kRowsPerTask = 8, kTasks = 32;

int64_t rows_per_task(int64_t N, int64_t Vp) {
  if (Vp < kElementsPerTask) return kElementsPerTask / (Vp > 0 ? Vp : 1);
  return std::max<int64_t>(1, std::min(kRowsPerTask, N / kTasks));
}

void check(const char* op, const float* losses, const float* logits, const int32_t* targets, int64_t N, int64_t V,
           int64_t Vp, float label_smoothing, float z_loss) {
  if (!(label_smoothing >= 0.0f && label_smoothing <= 1.0f))
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: label_smoothing = %g is not a share from 0 to 1", op, label_smoothing);
  if (!(z_loss >= 0.0f && z_loss <= __FLT_MAX__))
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: z_loss = %g is negative or not finite", op, z_loss);
  const int64_t count = checked_elements(op, N, Vp);
  if (V < 0 || V > Vp)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: V = %lld is not within Vp = %lld", op, (long long)V, (long long)Vp);
  check_pointer(op, "losses", losses, N);
  check_pointer(op, "logits", logits, count);
  check_pointer(op, "targets", targets, N);
  check_indices(op, "targets", targets, N, V, true);
}

}  // namespace
}  // namespace licorne

int32_t licorne_cpu_cross_entropy_forward(float* losses, const float* logits, const int32_t* targets, int64_t N,
                                          int64_t V, int64_t Vp, float label_smoothing, float z_loss) {
  using namespace licorne;
  return guarded([&] {
    check("cross_entropy_forward", losses, logits, targets, N, V, Vp, label_smoothing, z_loss);
    parallel_chunks(N, rows_per_task(N, Vp), [&](int64_t begin, int64_t end, int) {
      for (int64_t n = begin; n < end; n++)
        losses[n] = LICORNE_ISA_CALL(cross_entropy_forward_f32)(logits + n * Vp, targets[n], V, label_smoothing, z_loss);
    });
  });
}

int32_t licorne_cpu_cross_entropy_backward(float* losses, float* dlogits, const float* logits, const int32_t* targets,
                                           int64_t N, int64_t V, int64_t Vp, float scale, float label_smoothing,
                                           float z_loss) {
  using namespace licorne;
  return guarded([&] {
    check("cross_entropy_backward", losses, logits, targets, N, V, Vp, label_smoothing, z_loss);
    check_pointer("cross_entropy_backward", "dlogits", dlogits, N * Vp);
    parallel_chunks(N, rows_per_task(N, Vp), [&](int64_t begin, int64_t end, int) {
      for (int64_t n = begin; n < end; n++)
        losses[n] = LICORNE_ISA_CALL(cross_entropy_backward_f32)(dlogits + n * Vp, logits + n * Vp, targets[n], V, Vp,
                                                                 scale, label_smoothing, z_loss);
    });
  });
}
