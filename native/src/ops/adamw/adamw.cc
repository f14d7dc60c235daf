// AdamW: checks, whether the norm allows the step, bias corrections (in double), clip factor, dispatch over fixed chunks.
#include "licorne/adamw.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "ops/adamw/adamw_step.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, adamw_f32,
                    (float* parameters, float* m, float* v, const float* gradients, int64_t count,
                     const AdamWStep& step));

namespace {
constexpr int64_t kElementsPerTask = 65536;
}
}  // namespace licorne

int32_t licorne_cpu_adamw(float* parameters, float* m, float* v, const float* gradients, const float* norm, int64_t count,
                          float learning_rate, float beta1, float beta2, float epsilon, float weight_decay,
                          float max_norm, float largest_norm, int64_t step) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("adamw", count);
    check_pointer("adamw", "parameters", parameters, count);
    check_pointer("adamw", "m", m, count);
    check_pointer("adamw", "v", v, count);
    check_pointer("adamw", "gradients", gradients, count);
    if (step < 1) throw Error(LICORNE_INVALID_ARGUMENT, "adamw: step = %lld counts from 1", (long long)step);
    if (norm != nullptr && !(norm[0] <= std::min(largest_norm, FLT_MAX))) return;
    AdamWStep values;
    values.beta1 = beta1;
    values.beta2 = beta2;
    values.clip = norm == nullptr || norm[0] <= max_norm ? 1.0f : max_norm / norm[0];
    values.m_factor = static_cast<float>(learning_rate / (1.0 - std::pow(static_cast<double>(beta1), step)));
    values.v_factor = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta2), step)));
    values.epsilon = epsilon;
    values.decay = learning_rate * weight_decay;
    parallel_chunks(count, kElementsPerTask, [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(adamw_f32)(parameters + begin, m + begin, v + begin, gradients + begin, end - begin, values);
    });
  });
}
