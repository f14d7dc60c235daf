// AdamW on the GPU: one pass over the slabs, 28 bytes per parameter, or 30 with the bfloat16 copy that ops read, which the
// same pass writes. Four parameters per thread: four 16-byte loads in flight, and half of one is written for the copy. The
// clip factor comes from the norm in the device's memory, and so does whether the step is taken at all: every block looks
// at it first and ends if it is not finite or too large. No step waits for the host. Bias corrections are made in
// double precision on the host.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "cuda/element.h"
#include "licorne/adamw.h"
#include "ops/adamw/adamw_step.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;

// A parameter's step; `clip` of AdamWStep is replaced by the device's.
__device__ __forceinline__ void step_one(float& p, float& m, float& v, float g, const AdamWStep& s, float clip) {
  g *= clip;
  m = fmaf(1.0f - s.beta1, g, s.beta1 * m);
  v = fmaf((1.0f - s.beta2) * g, g, s.beta2 * v);
  p = fmaf(p, -s.decay, p) - m * s.m_factor / (sqrtf(v * s.v_factor) + s.epsilon);
}

template <int n>
__global__ void __launch_bounds__(kThreads)
    adamw_kernel(float* parameters, BFloat16* weights, float* m, float* v, const float* gradients, const float* norm,
                 float max_norm, float largest_norm, int64_t first, int64_t count, AdamWStep s) {
  begin_kernel();
  if (norm != nullptr && !(norm[0] <= largest_norm)) return;  // NaN too
  const float clip = norm == nullptr || norm[0] <= max_norm ? 1.0f : max_norm / norm[0];
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads * n;
  for (int64_t i = first + (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n; i + n <= count; i += stride) {
    const Pack<float, n> g = stream_load<float, n>(gradients + i);
    Pack<float, n> p = stream_load<float, n>(parameters + i), pm = stream_load<float, n>(m + i);
    Pack<float, n> pv = stream_load<float, n>(v + i);
#pragma unroll
    for (int j = 0; j < n; j++) step_one(p.elements[j], pm.elements[j], pv.elements[j], g.elements[j], s, clip);
    stream_store(parameters + i, p);
    stream_store(m + i, pm);
    stream_store(v + i, pv);
    if (weights != nullptr) {
      Pack<BFloat16, n> copy;
#pragma unroll
      for (int j = 0; j < n; j++) copy.set(j, p.elements[j]);
      store(weights + i, copy);
    }
  }
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_adamw(float* parameters, void* weights, float* m, float* v, const float* gradients, const float* norm,
                           int64_t count, float learning_rate, float beta1, float beta2, float epsilon, float weight_decay,
                           float max_norm, float largest_norm, int64_t step, void* stream) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("adamw", count);
    check_pointer("adamw", "parameters", parameters, count);
    check_pointer("adamw", "m", m, count);
    check_pointer("adamw", "v", v, count);
    check_pointer("adamw", "gradients", gradients, count);
    if (weights != nullptr) check_tensor("adamw", "weights", weights, count, LICORNE_BF16);
    if (step < 1) throw Error(LICORNE_INVALID_ARGUMENT, "adamw: step = %lld counts from 1", (long long)step);
    AdamWStep s;
    s.beta1 = beta1;
    s.beta2 = beta2;
    s.clip = 1.0f;
    s.m_factor = static_cast<float>(learning_rate / (1.0 - std::pow(static_cast<double>(beta1), step)));
    s.v_factor = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta2), step)));
    s.epsilon = epsilon;
    s.decay = learning_rate * weight_decay;
    const float largest = std::min(largest_norm, FLT_MAX);
    const int64_t whole = aligned16(parameters, weights, m, v, gradients) ? count / 4 * 4 : 0;
    BFloat16* copy = static_cast<BFloat16*>(weights);
    launch(adamw_kernel<4>, grid_of(whole, kThreads * 4), kThreads, 0, stream, parameters, copy, m, v, gradients, norm,
           max_norm, largest, 0, whole, s);
    launch(adamw_kernel<1>, grid_of(count - whole, kThreads), kThreads, 0, stream, parameters, copy, m, v, gradients, norm,
           max_norm, largest, whole, count, s);
  });
}
