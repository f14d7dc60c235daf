// Masks against their definition, attention against plain double loops, and decoding on a cache.
#include <algorithm>
#include <cstring>

#include "licorne/attention.h"
#include "licorne/attention_decode.h"
#include "licorne/quantize.h"
#include "ops/attention/intervals.h"
#include "suites.h"

namespace {

using namespace test;

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

}  // namespace

void test_masks() { masks_are_intervals(); }

void test_attention() {
  decoding(LICORNE_F32);
  decoding(LICORNE_BF16);
  attention_with_random_masks(LICORNE_F32);
  if (has_bfloat16_products()) attention_with_random_masks(LICORNE_BF16);
}
