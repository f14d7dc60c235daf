// RMS normalisation, per instruction set.
//
// A row stays in the first-level cache between its passes, so main memory sees each row once: pass 1 adds the residual and
// sums the squares, pass 2 writes. The backward pass needs one sum over a row, then writes; gamma's gradient of a chunk of
// rows gathers in the workspace. Two accumulators hide the latency of the multiply-add.
#include "cpu/vec.h"

namespace licorne {

void LICORNE_ISA_NAME(rms_norm_forward_f32)(float* out, float* sum_out, float* rstd, const float* x,
                                            const float* residual, const float* gamma, int64_t begin, int64_t end,
                                            int64_t C, float epsilon) {
  const float inverse = C == 0 ? 0.0f : 1.0f / static_cast<float>(C);
  for (int64_t n = begin; n < end; n++) {
    const float* row = x + n * C;
    vf squares0 = zero(), squares1 = zero();
    float rest = 0.0f;
    int64_t c = 0;
    if (residual != nullptr) {
      const float* other = residual + n * C;
      float* both = sum_out + n * C;
      for (; c + 2 * W <= C; c += 2 * W) {
        const vf v0 = add(load(row + c), load(other + c)), v1 = add(load(row + c + W), load(other + c + W));
        store(both + c, v0);
        store(both + c + W, v1);
        squares0 = fma(v0, v0, squares0);
        squares1 = fma(v1, v1, squares1);
      }
      for (; c < C; c++) {
        both[c] = row[c] + other[c];
        rest += both[c] * both[c];
      }
      row = both;
    } else {
      for (; c + 2 * W <= C; c += 2 * W) {
        const vf v0 = load(row + c), v1 = load(row + c + W);
        squares0 = fma(v0, v0, squares0);
        squares1 = fma(v1, v1, squares1);
      }
      for (; c < C; c++) rest += row[c] * row[c];
    }
    const float scale = 1.0f / sqrtf((sum(add(squares0, squares1)) + rest) * inverse + epsilon);
    const vf scales = all(scale);
    float* target = out + n * C;
    for (c = 0; c + W <= C; c += W) store(target + c, mul(mul(load(row + c), scales), load(gamma + c)));
    for (; c < C; c++) target[c] = row[c] * scale * gamma[c];
    rstd[n] = scale;
  }
}

void LICORNE_ISA_NAME(rms_norm_backward_f32)(float* dx, float* dgamma_partial, const float* dout, const float* x,
                                             const float* gamma, const float* rstd, const float* dresidual,
                                             int64_t begin, int64_t end, int64_t C) {
  memset(dgamma_partial, 0, static_cast<size_t>(C) * sizeof(float));
  const float inverse = C == 0 ? 0.0f : 1.0f / static_cast<float>(C);
  for (int64_t n = begin; n < end; n++) {
    const float* row = x + n * C;
    const float* upstream = dout + n * C;
    const float scale = rstd[n];
    const vf scales = all(scale);
    vf products = zero();
    float rest = 0.0f;
    int64_t c = 0;
    for (; c + W <= C; c += W) {
      const vf weighted = mul(load(upstream + c), mul(load(row + c), scales));
      products = fma(weighted, load(gamma + c), products);
      store(dgamma_partial + c, add(load(dgamma_partial + c), weighted));
    }
    for (; c < C; c++) {
      const float weighted = upstream[c] * (row[c] * scale);
      rest += weighted * gamma[c];
      dgamma_partial[c] += weighted;
    }
    const float mean = (sum(products) + rest) * inverse;
    const vf means = all(mean);
    const float* other = dresidual == nullptr ? nullptr : dresidual + n * C;
    float* target = dx + n * C;
    for (c = 0; c + W <= C; c += W) {
      const vf g = mul(load(upstream + c), load(gamma + c));
      vf value = mul(scales, sub(g, mul(mul(load(row + c), scales), means)));
      if (other != nullptr) value = add(value, load(other + c));
      store(target + c, value);
    }
    for (; c < C; c++) {
      const float value = scale * (upstream[c] * gamma[c] - row[c] * scale * mean);
      target[c] = other == nullptr ? value : value + other[c];
    }
  }
}

// Columns begin to end of: gradient += sum over the chunks, in order.
void LICORNE_ISA_NAME(rms_norm_reduce_f32)(float* dgamma, const float* partials, int64_t chunks, int64_t C, int64_t begin,
                                           int64_t end) {
  for (int64_t chunk = 0; chunk < chunks; chunk++)
    for (int64_t c = begin; c < end; c++) dgamma[c] += partials[chunk * C + c];
}

}  // namespace licorne
