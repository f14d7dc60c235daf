// Ops on rows, elements and tables against plain double loops.
#include <cfloat>
#include <cmath>
#include <cstring>

#include "licorne/adamw.h"
#include "licorne/cross_entropy.h"
#include "licorne/embedding.h"
#include "licorne/gelu.h"
#include "licorne/global_norm.h"
#include "licorne/key_value_append.h"
#include "licorne/layer_norm.h"
#include "licorne/rms_norm.h"
#include "licorne/softmax.h"
#include "licorne/swiglu.h"
#include "suites.h"

namespace {

using namespace test;

void rows() {
  Random random(5);
  const int64_t N = 67, C = 43, V = 39;
  const Floats x = random.floats(N * C, 3.0f), dout = random.floats(N * C), gamma = random.floats(C), beta = random.floats(C);
  const Floats residual = random.floats(N * C);
  Floats out(N * C), sum(N * C), mean(N), rstd(N), dx(N * C), dgamma(C), dbeta(C);
  OK(licorne_cpu_layer_norm_forward(out.data(), sum.data(), mean.data(), rstd.data(), x.data(), residual.data(),
                                    gamma.data(), beta.data(), N, C, 1e-5f));
  std::vector<char> workspace(licorne_cpu_layer_norm_backward_workspace_bytes(N, C));
  OK(licorne_cpu_layer_norm_backward(dx.data(), dgamma.data(), dbeta.data(), dout.data(), sum.data(), gamma.data(),
                                     mean.data(), rstd.data(), nullptr, workspace.data(), N, C));
  Doubles eout(N * C), edgamma(C), edbeta(C), edx(N * C);
  for (int64_t n = 0; n < N; n++) {
    double m = 0, variance = 0, g = 0, gx = 0;
    for (int64_t c = 0; c < C; c++) m += sum[n * C + c] / static_cast<double>(C);
    for (int64_t c = 0; c < C; c++) variance += (sum[n * C + c] - m) * (sum[n * C + c] - m) / static_cast<double>(C);
    const double r = 1 / std::sqrt(variance + 1e-5);
    for (int64_t c = 0; c < C; c++) {
      const double normalised = (sum[n * C + c] - m) * r, d = dout[n * C + c];
      eout[n * C + c] = normalised * gamma[c] + beta[c];
      edgamma[c] += d * normalised;
      edbeta[c] += d;
      g += d * gamma[c] / static_cast<double>(C);
      gx += d * gamma[c] * normalised / static_cast<double>(C);
    }
    for (int64_t c = 0; c < C; c++)
      edx[n * C + c] = r * (dout[n * C + c] * static_cast<double>(gamma[c]) - g - (sum[n * C + c] - m) * r * gx);
  }
  test::near(eout, out, 1e-5, 1e-5, "layer_norm");
  test::near(edx, dx, 1e-5, 1e-5, "layer_norm dx");
  test::near(edgamma, dgamma, 1e-4, 1e-5, "layer_norm dgamma");
  test::near(edbeta, dbeta, 1e-4, 1e-5, "layer_norm dbeta");

  Ints targets = random.ints(N, 0, static_cast<int>(V) - 1);
  targets[3] = -1;
  Floats probabilities(N * C), losses(N), only(N), dlogits = x;
  OK(licorne_cpu_softmax_forward(probabilities.data(), x.data(), N, V, C));
  OK(licorne_cpu_cross_entropy_forward(only.data(), x.data(), targets.data(), N, V, C, 0.0f, 0.0f));
  OK(licorne_cpu_cross_entropy_backward(losses.data(), dlogits.data(), dlogits.data(), targets.data(), N, V, C, 0.5f, 0.0f,
                                        0.0f));
  const float smoothing = 0.1f, z = 1e-2f;
  Floats smoothed(N), smoothed_too(N), dsmoothed(N * C);
  OK(licorne_cpu_cross_entropy_forward(smoothed.data(), x.data(), targets.data(), N, V, C, smoothing, z));
  OK(licorne_cpu_cross_entropy_backward(smoothed_too.data(), dsmoothed.data(), x.data(), targets.data(), N, V, C, 0.5f,
                                        smoothing, z));
  EXPECT(licorne_cpu_cross_entropy_forward(smoothed.data(), x.data(), targets.data(), N, V, C, 1.5f, z) ==
         LICORNE_INVALID_ARGUMENT);
  EXPECT(licorne_cpu_cross_entropy_forward(smoothed.data(), x.data(), targets.data(), N, V, C, smoothing, NAN) ==
         LICORNE_INVALID_ARGUMENT);
  Doubles ep(N * C), elosses(N), edlogits(N * C), esmoothed(N), edsmoothed(N * C);
  for (int64_t n = 0; n < N; n++) {
    double total = 0;
    for (int64_t c = 0; c < V; c++) total += ep[n * C + c] = std::exp(static_cast<double>(x[n * C + c]));
    const double lse = std::log(total);
    for (int64_t c = 0; c < V; c++) {
      double& p = ep[n * C + c] /= total;
      if (targets[n] < 0) continue;
      const double truth = (c == targets[n] ? 1 - smoothing : 0) + static_cast<double>(smoothing) / V;
      edlogits[n * C + c] = 0.5 * (p - (c == targets[n] ? 1 : 0));
      edsmoothed[n * C + c] = 0.5 * (p * (1 + 2 * z * lse) - truth);
      esmoothed[n] -= truth * std::log(p);
    }
    if (targets[n] >= 0) {
      elosses[n] = -std::log(ep[n * C + targets[n]]);
      esmoothed[n] += z * lse * lse;
    }
  }
  test::near(ep, probabilities, 1e-6, 1e-5, "softmax");
  test::near(elosses, losses, 1e-5, 1e-5, "cross_entropy");
  test::near(elosses, only, 1e-5, 1e-5, "cross_entropy loss only");
  test::near(edlogits, dlogits, 1e-6, 1e-5, "cross_entropy gradient");
  test::near(esmoothed, smoothed, 1e-5, 1e-5, "smoothed cross_entropy");
  test::near(esmoothed, smoothed_too, 1e-5, 1e-5, "smoothed cross_entropy with its gradient");
  test::near(edsmoothed, dsmoothed, 1e-6, 1e-5, "smoothed cross_entropy gradient");
}

void gated_and_scaled() {
  Random random(12);
  const int64_t N = 70, F = 37, C = 2 * F;
  const Floats x = random.floats(N * C), residual = random.floats(N * C), gamma = random.floats(C);
  const Floats dout = random.floats(N * C), dresidual = random.floats(N * C);
  Floats out(N * C), sum(N * C), rstd(N), dx(N * C), dgamma(C), gated(N * F), dgated(N * C);
  std::vector<char> workspace(licorne_cpu_rms_norm_backward_workspace_bytes(N, C));
  OK(licorne_cpu_rms_norm_forward(out.data(), sum.data(), rstd.data(), x.data(), residual.data(), gamma.data(), N, C,
                                  1e-5f));
  OK(licorne_cpu_rms_norm_backward(dx.data(), dgamma.data(), dout.data(), sum.data(), gamma.data(), rstd.data(),
                                   dresidual.data(), workspace.data(), N, C));
  OK(licorne_cpu_swiglu_forward(gated.data(), x.data(), N, F));
  OK(licorne_cpu_swiglu_backward(dgated.data(), dout.data(), x.data(), N, F));
  Doubles eout(N * C), edx(N * C), edgamma(C), egated(N * F), edgated(N * C);
  for (int64_t n = 0; n < N; n++) {
    double squares = 0, product = 0;
    for (int64_t c = 0; c < C; c++) squares += static_cast<double>(sum[n * C + c]) * sum[n * C + c];
    const double r = 1 / std::sqrt(squares / C + 1e-5);
    for (int64_t c = 0; c < C; c++) {
      const int64_t i = n * C + c;
      EXPECT(sum[i] == x[i] + residual[i]);
      eout[i] = sum[i] * r * gamma[c];
      edgamma[c] += dout[i] * sum[i] * r;
      product += static_cast<double>(dout[i]) * gamma[c] * sum[i] * r / C;
    }
    for (int64_t c = 0; c < C; c++) {
      const int64_t i = n * C + c;
      edx[i] = r * (static_cast<double>(dout[i]) * gamma[c] - sum[i] * r * product) + dresidual[i];
    }
    for (int64_t f = 0; f < F; f++) {
      const double gate = x[n * C + f], up = x[n * C + F + f], s = 1 / (1 + std::exp(-gate)), d = dout[n * F + f];
      egated[n * F + f] = gate * s * up;
      edgated[n * C + f] = d * up * (s + gate * s * (1 - s));
      edgated[n * C + F + f] = d * gate * s;
    }
  }
  test::near(eout, out, 1e-6, 1e-5, "rms_norm");
  test::near(edx, dx, 1e-5, 1e-5, "rms_norm gradient");
  test::near(edgamma, dgamma, 1e-4, 1e-5, "rms_norm gamma");
  test::near(egated, gated, 1e-6, 1e-5, "swiglu");
  test::near(edgated, dgated, 1e-6, 1e-5, "swiglu gradient");
}

void elements() {
  Random random(6);
  const int64_t count = 70001;
  const Floats x = random.floats(count, 4.0f), dout = random.floats(count);
  Floats out(count), dx(count);
  OK(licorne_cpu_gelu_forward(out.data(), x.data(), count));
  OK(licorne_cpu_gelu_backward(dx.data(), dout.data(), x.data(), count));
  Doubles egelu(count), edx(count);
  double squares = 0;
  for (int64_t i = 0; i < count; i++) {
    const double value = x[i], c = std::sqrt(2 / M_PI), t = std::tanh(c * (value + 0.044715 * value * value * value));
    egelu[i] = value / 2 * (1 + t);
    edx[i] = dout[i] * ((1 + t) / 2 + value / 2 * (1 - t * t) * c * (1 + 3 * 0.044715 * value * value));
    squares += value * value;
  }
  test::near(egelu, out, 1e-6, 1e-5, "gelu");
  test::near(edx, dx, 1e-5, 1e-5, "gelu gradient");
  float norm = 0;
  std::vector<char> workspace(licorne_cpu_global_norm_workspace_bytes(count));
  OK(licorne_cpu_global_norm(&norm, x.data(), workspace.data(), count));
  test::near({std::sqrt(squares)}, {norm}, 0, 1e-6, "norm");

  Floats p = random.floats(count), m = random.floats(count), v = x;
  for (float& value : v) value = std::fabs(value);
  Doubles ep(count);
  for (int64_t i = 0; i < count; i++) {
    const double g = dout[i] * 0.5, mi = 0.9 * m[i] + 0.1 * g, vi = 0.99 * v[i] + 0.01 * g * g;
    ep[i] = p[i] - 0.01 * (mi / (1 - std::pow(0.9, 3)) / (std::sqrt(vi / (1 - std::pow(0.99, 3))) + 1e-8) + 0.1 * p[i]);
  }
  const float two = 2.0f;
  OK(licorne_cpu_adamw(p.data(), m.data(), v.data(), dout.data(), &two, count, 0.01f, 0.9f, 0.99f, 1e-8f, 0.1f, 1.0f,
                       FLT_MAX, 3));
  test::near(ep, p, 1e-5, 1e-5, "adamw");
  const Floats p1 = p, m1 = m, v1 = v;
  for (const float norm_beyond : {NAN, INFINITY, 5.1f}) {
    OK(licorne_cpu_adamw(p.data(), m.data(), v.data(), dout.data(), &norm_beyond, count, 0.01f, 0.9f, 0.99f, 1e-8f, 0.1f,
                         1.0f, std::isfinite(norm_beyond) ? 5.0f : INFINITY, 4));
    EXPECT(p == p1 && m == m1 && v == v1);
  }
}

void tables() {
  Random random(7);
  const int64_t N = 40, C = 35, Vp = 9, P = 7;
  const Floats tokens_table = random.floats(Vp * C), positions_table = random.floats(P * C);
  const Ints tokens = random.ints(N, 0, Vp - 1), positions = random.ints(N, 0, P - 1);
  Floats out(N * C), dtokens(Vp * C), dpositions(P * C);
  OK(licorne_cpu_embedding_forward(out.data(), tokens_table.data(), positions_table.data(), tokens.data(),
                                   positions.data(), N, C, Vp, P));
  OK(licorne_cpu_embedding_backward(dtokens.data(), dpositions.data(), out.data(), tokens.data(), positions.data(), N, C,
                                    Vp, P));
  Doubles expected(N * C), edtokens(Vp * C), edpositions(P * C);
  for (int64_t n = 0; n < N; n++)
    for (int64_t c = 0; c < C; c++) {
      expected[n * C + c] = static_cast<double>(tokens_table[tokens[n] * C + c]) + positions_table[positions[n] * C + c];
      edtokens[tokens[n] * C + c] += out[n * C + c];
      edpositions[positions[n] * C + c] += out[n * C + c];
    }
  test::near(expected, out, 1e-6, 1e-6, "embedding");
  test::near(edtokens, dtokens, 1e-5, 1e-5, "embedding gradient");
  test::near(edpositions, dpositions, 1e-5, 1e-5, "embedding gradient");
  Floats cache_k(2 * 5 * 3), cache_v(2 * 5 * 3);
  const Ints places = {4, -1, 0, 2};
  OK(licorne_cpu_key_value_append(cache_k.data(), cache_v.data(), out.data(), out.data() + 3, places.data(), 2, 2, 5, 3, 7, LICORNE_F32));
  EXPECT(memcmp(&cache_k[4 * 3], &out[0], 12) == 0 && memcmp(&cache_v[(5 + 2) * 3], &out[3 * 7 + 3], 12) == 0);
}

}  // namespace

void test_rows() {
  rows();
  elements();
  gated_and_scaled();
  tables();
}
