// Layer normalisation, per instruction set.
//
// A row stays in the first-level cache between its passes, so main memory sees each row once: pass 1 adds the residual and
// sums, pass 2 sums the squared deviations (not E[x^2] - mean^2, which cancels), pass 3 writes. The backward pass needs two
// sums over a row, then writes; gamma's and beta's gradients of a chunk of rows gather in the workspace.
#include "cpu/vec.h"

namespace licorne {

void LICORNE_ISA_NAME(layer_norm_forward_f32)(float* out, float* sum_out, float* mean, float* rstd, const float* x,
                                              const float* residual, const float* gamma, const float* beta,
                                              int64_t begin, int64_t end, int64_t C, float epsilon) {
  const float inverse = C == 0 ? 0.0f : 1.0f / static_cast<float>(C);
  for (int64_t n = begin; n < end; n++) {
    const float* row = x + n * C;
    vf total = zero();
    float rest = 0.0f;
    int64_t c = 0;
    if (residual != nullptr) {
      const float* other = residual + n * C;
      float* both = sum_out + n * C;
      for (; c + W <= C; c += W) {
        const vf value = add(load(row + c), load(other + c));
        store(both + c, value);
        total = add(total, value);
      }
      for (; c < C; c++) rest += both[c] = row[c] + other[c];
      row = both;
    } else {
      for (; c + W <= C; c += W) total = add(total, load(row + c));
      for (; c < C; c++) rest += row[c];
    }
    const float center = (sum(total) + rest) * inverse;
    const vf centers = all(center);
    vf squares = zero();
    rest = 0.0f;
    for (c = 0; c + W <= C; c += W) {
      const vf deviation = sub(load(row + c), centers);
      squares = fma(deviation, deviation, squares);
    }
    for (; c < C; c++) rest += (row[c] - center) * (row[c] - center);
    const float scale = 1.0f / sqrtf((sum(squares) + rest) * inverse + epsilon);
    const vf scales = all(scale);
    float* target = out + n * C;
    for (c = 0; c + W <= C; c += W)
      store(target + c, fma(mul(sub(load(row + c), centers), scales), load(gamma + c), load(beta + c)));
    for (; c < C; c++) target[c] = (row[c] - center) * scale * gamma[c] + beta[c];
    mean[n] = center;
    rstd[n] = scale;
  }
}

void LICORNE_ISA_NAME(layer_norm_backward_f32)(float* dx, float* dgamma_partial, float* dbeta_partial, const float* dout,
                                               const float* x, const float* gamma, const float* mean, const float* rstd,
                                               const float* dresidual, int64_t begin, int64_t end, int64_t C) {
  memset(dgamma_partial, 0, static_cast<size_t>(C) * sizeof(float));
  memset(dbeta_partial, 0, static_cast<size_t>(C) * sizeof(float));
  const float inverse = C == 0 ? 0.0f : 1.0f / static_cast<float>(C);
  for (int64_t n = begin; n < end; n++) {
    const float* row = x + n * C;
    const float* upstream = dout + n * C;
    const float center = mean[n], scale = rstd[n];
    const vf centers = all(center), scales = all(scale);
    vf sum_g = zero(), sum_gx = zero();
    float rest_g = 0.0f, rest_gx = 0.0f;
    int64_t c = 0;
    for (; c + W <= C; c += W) {
      const vf normalised = mul(sub(load(row + c), centers), scales), d = load(upstream + c), g = mul(d, load(gamma + c));
      sum_g = add(sum_g, g);
      sum_gx = fma(g, normalised, sum_gx);
      store(dgamma_partial + c, fma(d, normalised, load(dgamma_partial + c)));
      store(dbeta_partial + c, add(load(dbeta_partial + c), d));
    }
    for (; c < C; c++) {
      const float normalised = (row[c] - center) * scale, g = upstream[c] * gamma[c];
      rest_g += g;
      rest_gx += g * normalised;
      dgamma_partial[c] += upstream[c] * normalised;
      dbeta_partial[c] += upstream[c];
    }
    const float mean_g = (sum(sum_g) + rest_g) * inverse, mean_gx = (sum(sum_gx) + rest_gx) * inverse;
    const vf means_g = all(mean_g), means_gx = all(mean_gx);
    const float* other = dresidual == nullptr ? nullptr : dresidual + n * C;
    float* target = dx + n * C;
    for (c = 0; c + W <= C; c += W) {
      const vf normalised = mul(sub(load(row + c), centers), scales), g = mul(load(upstream + c), load(gamma + c));
      vf value = mul(scales, sub(sub(g, means_g), mul(normalised, means_gx)));
      if (other != nullptr) value = add(value, load(other + c));
      store(target + c, value);
    }
    for (; c < C; c++) {
      const float normalised = (row[c] - center) * scale, g = upstream[c] * gamma[c];
      const float value = scale * (g - mean_g - normalised * mean_gx);
      target[c] = other == nullptr ? value : value + other[c];
    }
  }
}

// Columns begin to end of: gradients += sum over the chunks, in order.
void LICORNE_ISA_NAME(layer_norm_reduce_f32)(float* dgamma, float* dbeta, const float* partials, int64_t chunks,
                                             int64_t C, int64_t begin, int64_t end) {
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    const float* partial = partials + chunk * 2 * C;
    for (int64_t c = begin; c < end; c++) {
      dgamma[c] += partial[c];
      dbeta[c] += partial[C + c];
    }
  }
}

}  // namespace licorne
