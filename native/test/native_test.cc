// What the native library must do by itself, on every instruction set the machine has: the ops against plain double
// loops, masks against their definition, and errors. The Java contract suite checks far more shapes; these tests exist to
// run under the sanitizers.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "check.h"
#include "licorne/adamw.h"
#include "licorne/attention.h"
#include "licorne/attention_decode.h"
#include "licorne/cpu.h"
#include "licorne/cross_entropy.h"
#include "licorne/embedding.h"
#include "licorne/gelu.h"
#include "licorne/global_norm.h"
#include "licorne/key_value_append.h"
#include "licorne/layer_norm.h"
#include "licorne/linear.h"
#include "licorne/memory.h"
#include "licorne/quantize.h"
#include "licorne/quantized_embedding.h"
#include "licorne/quantized_linear.h"
#include "licorne/rms_norm.h"
#include "licorne/softmax.h"
#include "licorne/swiglu.h"
#include "ops/attention/intervals.h"

namespace {

using test::Random;
using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;
using Doubles = std::vector<double>;

#define OK(call) EXPECT((call) == LICORNE_OK)

bool sees(const licorne::MaskRule& rule, int64_t b, int64_t T, int64_t S, int64_t i, int64_t j) {
  const int64_t queries = rule.query_lengths ? rule.query_lengths[b] : T, keys = rule.key_lengths ? rule.key_lengths[b] : S;
  const int64_t p = i + keys - queries;
  if (i >= queries || j >= keys) return false;
  if (rule.kind == LICORNE_MASK_CAUSAL && j > p) return false;
  if (rule.kind == LICORNE_MASK_PREFIX && j > p && j >= rule.prefix_lengths[b]) return false;
  if (rule.kind == LICORNE_MASK_WINDOW && (j < p - rule.window_left || j > p + rule.window_right)) return false;
  if (rule.documents && (p < 0 || rule.documents[b * S + p] != rule.documents[b * S + j])) return false;
  return true;
}

licorne::MaskRule random_rule(Random& random, int64_t T, int64_t S, Ints& prefix, Ints& queries, Ints& keys,
                              Ints& documents) {
  const int kind = random.ints(1, 0, 3)[0];
  const int extras = random.ints(1, 0, 7)[0];
  prefix = random.ints(1, 0, static_cast<int>(S));
  queries = random.ints(1, 0, static_cast<int>(T));
  keys = random.ints(1, 0, static_cast<int>(S));
  documents = random.ints(S, 0, 3);
  std::sort(documents.begin(), documents.end());
  const Ints window = random.ints(2, 0, static_cast<int>(S));
  return {kind,
          kind == LICORNE_MASK_WINDOW ? window[0] : 0,
          kind == LICORNE_MASK_WINDOW ? window[1] : 0,
          kind == LICORNE_MASK_PREFIX ? prefix.data() : nullptr,
          (extras & 1) ? queries.data() : nullptr,
          (extras & 2) ? keys.data() : nullptr,
          (extras & 4) ? documents.data() : nullptr};
}

void masks_are_intervals() {
  Random random(1);
  for (int round = 0; round < 2000; round++) {
    const int64_t T = random.ints(1, 1, 20)[0], S = random.ints(1, 1, 20)[0];
    Ints prefix, queries, keys, documents;
    const licorne::MaskRule rule = random_rule(random, T, S, prefix, queries, keys, documents);
    Ints low(T), high(T), first(S), last(S);
    licorne::key_intervals(rule, 0, T, S, low.data(), high.data());
    licorne::query_intervals(low.data(), high.data(), T, S, first.data(), last.data());
    for (int64_t i = 0; i < T; i++)
      for (int64_t j = 0; j < S; j++) {
        const bool seen = sees(rule, 0, T, S, i, j);
        EXPECT((j >= low[i] && j < high[i]) == seen);
        EXPECT((i >= first[j] && i < last[j]) == seen);
      }
  }
}

// In bfloat16 the bound only tells a wrong pair from a rounded one; the Java suite holds the rounding to its rule.
void attention_with_random_masks(int32_t precision) {
  constexpr double kBfloat16Difference = 0.1;
  Random random(2);
  for (int round = 0; round < 25; round++) {
    const int64_t T = random.ints(1, 1, 150)[0], S = random.ints(1, 1, 150)[0], G = random.ints(1, 1, 2)[0];
    const int64_t H = G * random.ints(1, 1, 2)[0], D = random.ints(1, 1, 40)[0];
    Ints prefix, queries, keys, documents;
    const licorne::MaskRule rule = random_rule(random, T, S, prefix, queries, keys, documents);
    const Floats q = random.floats(T * H * D), k = random.floats(S * G * D), v = random.floats(S * G * D);
    const Floats dout = random.floats(T * H * D);
    const float scale = 0.3f;
    Floats out(T * H * D), lse(H * T), dq(T * H * D), dk(S * G * D), dv(S * G * D);
    std::vector<char> workspace(licorne_cpu_attention_forward_workspace_bytes(1, T, S, H, G, D));
    OK(licorne_cpu_attention_forward(out.data(), lse.data(), q.data(), k.data(), v.data(), workspace.data(), 1, T, S, H,
                                     G, D, H * D, T * H * D, G * D, S * G * D, H * D, T * H * D, rule.kind,
                                     rule.window_left, rule.window_right, rule.prefix_lengths, rule.query_lengths,
                                     rule.key_lengths, rule.documents, scale, precision));
    workspace.assign(licorne_cpu_attention_backward_workspace_bytes(1, T, S, H, G, D), 0);
    OK(licorne_cpu_attention_backward(dq.data(), dk.data(), dv.data(), dout.data(), out.data(), lse.data(), q.data(),
                                      k.data(), v.data(), workspace.data(), 1, T, S, H, G, D, H * D, T * H * D, G * D,
                                      S * G * D, H * D, T * H * D, rule.kind, rule.window_left, rule.window_right,
                                      rule.prefix_lengths, rule.query_lengths, rule.key_lengths, rule.documents, scale,
                                      precision));
    Doubles eout(T * H * D), edq(T * H * D), edk(S * G * D), edv(S * G * D);
    for (int64_t h = 0; h < H; h++)
      for (int64_t i = 0; i < T; i++) {
        const int64_t g = h / (H / G);
        const float* query = &q[(i * H + h) * D];
        const float* upstream = &dout[(i * H + h) * D];
        Doubles p(S);
        double total = 0, delta = 0;
        for (int64_t j = 0; j < S; j++) {
          if (!sees(rule, 0, T, S, i, j)) continue;
          double dot = 0;
          for (int64_t d = 0; d < D; d++) dot += static_cast<double>(query[d]) * k[(j * G + g) * D + d];
          total += p[j] = std::exp(dot * scale);
        }
        if (total == 0) continue;
        for (int64_t j = 0; j < S; j++) {
          p[j] /= total;
          for (int64_t d = 0; d < D; d++) eout[(i * H + h) * D + d] += p[j] * v[(j * G + g) * D + d];
        }
        for (int64_t d = 0; d < D; d++) delta += eout[(i * H + h) * D + d] * upstream[d];
        for (int64_t j = 0; j < S; j++) {
          double dp = 0;
          for (int64_t d = 0; d < D; d++) dp += static_cast<double>(upstream[d]) * v[(j * G + g) * D + d];
          const double ds = p[j] * (dp - delta) * scale;
          for (int64_t d = 0; d < D; d++) {
            edq[(i * H + h) * D + d] += ds * k[(j * G + g) * D + d];
            edk[(j * G + g) * D + d] += ds * query[d];
            edv[(j * G + g) * D + d] += p[j] * upstream[d];
          }
        }
      }
    const bool floats = precision == LICORNE_F32;
    const double gradient = floats ? 1e-4 : kBfloat16Difference, relative = floats ? 1e-4 : 0;
    test::near(eout, out, floats ? 1e-5 : kBfloat16Difference, relative, "attention out");
    test::near(edq, dq, gradient, relative, "attention dq");
    test::near(edk, dk, gradient, relative, "attention dk");
    test::near(edv, dv, gradient, relative, "attention dv");
  }
}

std::vector<uint16_t> bfloat16(const Floats& x) {
  std::vector<uint16_t> halves(x.size());
  OK(licorne_cpu_quantize(halves.data(), x.data(), 1, static_cast<int64_t>(x.size()), LICORNE_WEIGHT_BF16));
  return halves;
}

Floats floats(const std::vector<uint16_t>& halves) {
  Floats x(halves.size());
  for (size_t i = 0; i < x.size(); i++) {
    const uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
    memcpy(&x[i], &bits, sizeof bits);
  }
  return x;
}

void decoding(int32_t cache_type) {
  Random random(3);
  const int64_t B = 3, S = 600, H = 4, G = 2, D = 20;
  const Floats q = random.floats(B * H * D);
  Floats k = random.floats(B * S * G * D), v = random.floats(B * S * G * D);
  const std::vector<uint16_t> k_halves = bfloat16(k), v_halves = bfloat16(v);
  const bool small = cache_type == LICORNE_BF16;
  if (small) {
    k = floats(k_halves);
    v = floats(v_halves);
  }
  const Ints lengths = {0, 1, 600};
  Floats out(B * H * D);
  std::vector<float> workspace(licorne_cpu_attention_decode_workspace_bytes(B, S, H, G, D) / 4 + 1);
  OK(licorne_cpu_attention_decode(out.data(), q.data(), small ? static_cast<const void*>(k_halves.data()) : k.data(),
                                  small ? static_cast<const void*>(v_halves.data()) : v.data(), lengths.data(),
                                  workspace.data(), B, S, H, G, D, H * D, G * D, S * G * D, H * D, 0.2f, cache_type));
  Doubles expected(B * H * D);
  for (int64_t b = 0; b < B; b++)
    for (int64_t h = 0; h < H; h++) {
      double total = 0;
      Doubles p(lengths[b]);
      for (int64_t j = 0; j < lengths[b]; j++) {
        double dot = 0;
        for (int64_t d = 0; d < D; d++)
          dot += static_cast<double>(q[(b * H + h) * D + d]) * k[((b * S + j) * G + h / 2) * D + d];
        total += p[j] = std::exp(dot * 0.2);
      }
      for (int64_t j = 0; j < lengths[b]; j++)
        for (int64_t d = 0; d < D; d++)
          expected[(b * H + h) * D + d] += p[j] / total * v[((b * S + j) * G + h / 2) * D + d];
    }
  test::near(expected, out, 1e-5, 1e-5, "decode");
}

// Sizes that fit no tile, in arrays of exactly their size.
void small_weights() {
  Random random(14);
  const int64_t C = 45, OC = 37, blocks = 2, tile_rows = 3;
  const Floats weight = random.floats(OC * C), bias = random.floats(OC);
  for (const int32_t type : {LICORNE_WEIGHT_BF16, LICORNE_WEIGHT_Q8, LICORNE_WEIGHT_Q4}) {
    const int64_t bytes = type == LICORNE_WEIGHT_BF16 ? 2 * OC * C
                                                      : tile_rows * blocks * (type == LICORNE_WEIGHT_Q8 ? 544 : 288);
    std::vector<uint8_t> packed(bytes);
    OK(licorne_cpu_quantize(packed.data(), weight.data(), OC, C, type));
    Ints all(OC);
    for (int64_t o = 0; o < OC; o++) all[o] = static_cast<int32_t>(o);
    Floats rounded(OC * C);
    OK(licorne_cpu_quantized_embedding_forward(rounded.data(), packed.data(), nullptr, all.data(), nullptr, OC, C, OC, 0,
                                               type));
    test::near(Doubles(weight.begin(), weight.end()), rounded, type == LICORNE_WEIGHT_Q4 ? 0.6 : 0.02, 0.0, "weights");
    for (const int64_t N : {1, 6, 16, 19}) {
      const Floats x = random.floats(N * C);
      std::vector<float> workspace(
          static_cast<size_t>(licorne_cpu_quantized_linear_forward_workspace_bytes(N, C, OC, type) + 3) / 4);
      Floats out(N * OC);
      OK(licorne_cpu_quantized_linear_forward(out.data(), x.data(), packed.data(), bias.data(), workspace.data(), N, C, OC,
                                              type, LICORNE_F32));
      Doubles expected(N * OC);
      for (int64_t n = 0; n < N; n++)
        for (int64_t o = 0; o < OC; o++) {
          expected[n * OC + o] = bias[o];
          for (int64_t c = 0; c < C; c++)
            expected[n * OC + o] += static_cast<double>(x[n * C + c]) * rounded[o * C + c];
        }
      // x in 8 bits: half a step of 3/127 in each of 45 products
      test::near(expected, out, type == LICORNE_WEIGHT_BF16 ? 1e-4 : 0.4, 0.0, "small weights");
    }
  }
}

void linear_maps() {
  Random random(4);
  for (const int64_t N : {1, 3, 7, 8, 9, 33}) {
    const int64_t C = 37, OC = 71;
    const Floats x = random.floats(N * C), weight = random.floats(OC * C), bias = random.floats(OC);
    Floats out(N * OC), dx(N * C), dweight(OC * C), dbias(OC);
    OK(licorne_cpu_linear_forward(out.data(), x.data(), weight.data(), bias.data(), N, C, OC, LICORNE_F32));
    Doubles expected(N * OC), edx(N * C), edweight(OC * C), edbias(OC);
    for (int64_t n = 0; n < N; n++)
      for (int64_t o = 0; o < OC; o++) {
        expected[n * OC + o] = bias[o];
        for (int64_t c = 0; c < C; c++) expected[n * OC + o] += static_cast<double>(x[n * C + c]) * weight[o * C + c];
      }
    test::near(expected, out, 1e-4, 1e-4, "linear");
    OK(licorne_cpu_linear_backward_input(dx.data(), out.data(), weight.data(), N, C, OC, LICORNE_F32));
    OK(licorne_cpu_linear_backward_weight(dweight.data(), dbias.data(), out.data(), x.data(), N, C, OC, LICORNE_F32));
    for (int64_t n = 0; n < N; n++)
      for (int64_t o = 0; o < OC; o++) {
        const double d = out[n * OC + o];
        edbias[o] += d;
        for (int64_t c = 0; c < C; c++) {
          edx[n * C + c] += d * weight[o * C + c];
          edweight[o * C + c] += d * x[n * C + c];
        }
      }
    test::near(edx, dx, 1e-3, 1e-4, "linear dx");
    test::near(edweight, dweight, 1e-3, 1e-4, "linear dweight");
    test::near(edbias, dbias, 1e-3, 1e-4, "linear dbias");
  }
}

// Deeper than what is summed in one go, with edges on all sides; the same bits for any number of threads, and of a row for
// any number of rows.
void deep_products(int32_t precision) {
  Random random(15);
  const int64_t rows = 150, few = 20, C = 3173, OC = 97;
  const Floats x = random.floats(rows * C), weight = random.floats(OC * C), bias = random.floats(OC);
  const Floats before = random.floats(OC * C);
  Floats first_out, first_dx, first_dweight;
  for (const int threads : {2, 1, 5}) {
    OK(licorne_cpu_set_threads(threads));
    Floats out(rows * OC), dx(rows * C), dweight = before, few_out(few * OC);
    OK(licorne_cpu_linear_forward(out.data(), x.data(), weight.data(), bias.data(), rows, C, OC, precision));
    OK(licorne_cpu_linear_backward_input(dx.data(), out.data(), weight.data(), rows, C, OC, precision));
    OK(licorne_cpu_linear_backward_weight(dweight.data(), nullptr, x.data(), out.data(), rows, OC, C, precision));
    OK(licorne_cpu_linear_forward(few_out.data(), x.data(), weight.data(), bias.data(), few, C, OC, precision));
    EXPECT(memcmp(few_out.data(), out.data(), few_out.size() * sizeof(float)) == 0);
    if (first_out.empty()) {
      first_out = out;
      first_dx = dx;
      first_dweight = dweight;
      Doubles expected(rows * OC);
      for (int64_t n = 0; n < rows; n++)
        for (int64_t o = 0; o < OC; o++) {
          double sum = bias[o];
          for (int64_t c = 0; c < C; c++) sum += static_cast<double>(x[n * C + c]) * weight[o * C + c];
          expected[n * OC + o] = sum;
        }
      test::near(expected, out, precision == LICORNE_F32 ? 2e-3 : 1.0, 1e-3, "deep product");
    }
    EXPECT(out == first_out && dx == first_dx && dweight == first_dweight);
  }
  OK(licorne_cpu_set_threads(2));
}

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

void errors() {
  float x[4] = {};
  const int32_t bad = 9;
  EXPECT(licorne_cpu_embedding_forward(x, x, nullptr, &bad, nullptr, 1, 4, 1, 0) == LICORNE_INVALID_ARGUMENT);
  EXPECT(strstr(licorne_error_message(), "tokens[0] = 9") != nullptr);
  EXPECT(licorne_cpu_gelu_forward(nullptr, x, 4) == LICORNE_INVALID_ARGUMENT);
  EXPECT(licorne_cpu_gelu_forward(x, x, -1) == LICORNE_INVALID_ARGUMENT);
  EXPECT(licorne_cpu_softmax_forward(x, x, INT64_MAX / 2, 4, 4) == LICORNE_INVALID_ARGUMENT);
  EXPECT(licorne_cpu_set_isa(77) == LICORNE_UNSUPPORTED);
  EXPECT(licorne_cpu_set_threads(0) == LICORNE_INVALID_ARGUMENT);
}

void memory() {
  for (const int64_t bytes : {int64_t{1}, int64_t{1000}, int64_t{9} << 20}) {
    const int64_t address = licorne_cpu_allocate(bytes);
    EXPECT(address != 0 && address % 64 == 0);
    char* data = reinterpret_cast<char*>(address);
    EXPECT(data[0] == 0 && data[bytes - 1] == 0);
    data[bytes - 1] = 1;
    licorne_cpu_free(address, bytes);
  }
  EXPECT(licorne_cpu_available_bytes() > 0);
  Floats values(300000, 1.0f), copy(300000);
  OK(licorne_cpu_fill_f32(values.data(), 300000, 2.5f));
  OK(licorne_cpu_copy(copy.data(), values.data(), 1200000));
  EXPECT(copy[299999] == 2.5f);
}

}  // namespace

int main() {
  static const char* names[] = {"scalar", "neon", "avx2", "avx512", "avx512_bf16"};
  masks_are_intervals();
  errors();
  memory();
  OK(licorne_cpu_set_threads(3));
  int tested = 0;
  for (int isa = 0; isa < LICORNE_CPU_ISA_COUNT; isa++) {
    if (!licorne_cpu_isa_supported(isa)) {
      printf("%s: not on this machine\n", names[isa]);
      continue;
    }
    EXPECT(licorne_cpu_set_isa(isa) == LICORNE_OK);
    linear_maps();
    if (isa == LICORNE_CPU_AVX512 || isa == LICORNE_CPU_AVX512_BF16) deep_products(LICORNE_F32);
    if (isa == LICORNE_CPU_AVX512_BF16) deep_products(LICORNE_BF16);
    small_weights();
    rows();
    elements();
    gated_and_scaled();
    tables();
    decoding(LICORNE_F32);
    decoding(LICORNE_BF16);
    attention_with_random_masks(LICORNE_F32);
    if (isa == LICORNE_CPU_AVX512_BF16) attention_with_random_masks(LICORNE_BF16);
    printf("%s: tested\n", names[isa]);
    tested++;
  }
  EXPECT(tested > 0);
  printf("%d failures\n", test::failures);
  return test::failures == 0 ? 0 : 1;
}
