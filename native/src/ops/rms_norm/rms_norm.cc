// RMS normalisation: checks, and how the work is cut. Rows are independent; the gradient of gamma is summed per chunk of
// kRowsPerChunk rows into the workspace and then over the chunks in order, whatever the number of threads.
#include "licorne/rms_norm.h"

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, rms_norm_forward_f32,
                    (float* out, float* sum, float* rstd, const float* x, const float* residual, const float* gamma,
                     int64_t begin, int64_t end, int64_t C, float epsilon));
LICORNE_ISA_DECLARE(void, rms_norm_backward_f32,
                    (float* dx, float* dgamma_partial, const float* dout, const float* x, const float* gamma,
                     const float* rstd, const float* dresidual, int64_t begin, int64_t end, int64_t C));
LICORNE_ISA_DECLARE(void, rms_norm_reduce_f32,
                    (float* dgamma, const float* partials, int64_t chunks, int64_t C, int64_t begin, int64_t end));

namespace {
constexpr int64_t kRowsPerTask = 16;
constexpr int64_t kRowsPerChunk = 64;
constexpr int64_t kColumnsPerTask = 256;

int64_t chunks_of(int64_t N) { return (N + kRowsPerChunk - 1) / kRowsPerChunk; }
}  // namespace
}  // namespace licorne

int32_t licorne_cpu_rms_norm_forward(float* out, float* sum, float* rstd, const float* x, const float* residual,
                                     const float* gamma, int64_t N, int64_t C, float epsilon) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "rms_norm_forward";
    const int64_t count = checked_elements(op, N, C);
    check_pointer(op, "out", out, count);
    check_pointer(op, "x", x, count);
    check_pointer(op, "rstd", rstd, N);
    check_pointer(op, "gamma", gamma, count > 0 ? C : 0);
    if (residual != nullptr) check_pointer(op, "sum", sum, count);
    parallel_chunks(N, kRowsPerTask, [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(rms_norm_forward_f32)(out, sum, rstd, x, residual, gamma, begin, end, C, epsilon);
    });
  });
}

int64_t licorne_cpu_rms_norm_backward_workspace_bytes(int64_t N, int64_t C) {
  return licorne::chunks_of(N) * C * static_cast<int64_t>(sizeof(float));
}

int32_t licorne_cpu_rms_norm_backward(float* dx, float* dgamma, const float* dout, const float* x, const float* gamma,
                                      const float* rstd, const float* dresidual, void* workspace, int64_t N, int64_t C) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "rms_norm_backward";
    const int64_t count = checked_elements(op, N, C);
    check_pointer(op, "dx", dx, count);
    check_pointer(op, "dout", dout, count);
    check_pointer(op, "x", x, count);
    check_pointer(op, "dgamma", dgamma, count > 0 ? C : 0);
    check_pointer(op, "gamma", gamma, count > 0 ? C : 0);
    check_pointer(op, "rstd", rstd, N);
    if (dresidual != nullptr) check_pointer(op, "dresidual", dresidual, count);
    float* partials = static_cast<float*>(workspace);
    check_pointer(op, "workspace", partials, count);
    parallel_chunks(N, kRowsPerChunk, [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(rms_norm_backward_f32)(dx, partials + begin / kRowsPerChunk * C, dout, x, gamma, rstd, dresidual,
                                              begin, end, C);
    });
    if (N > 0)
      parallel_chunks(C, kColumnsPerTask, [&](int64_t begin, int64_t end, int) {
        LICORNE_ISA_CALL(rms_norm_reduce_f32)(dgamma, partials, chunks_of(N), C, begin, end);
      });
  });
}
