// The CUDA kernels of tables, parameters and quantised weights, over the emulator, against plain double loops; quantised
// weights against the CPU's, bit by bit.
#include "cpu/weight_tile.h"
#include "licorne/adamw.h"
#include "licorne/cuda.h"
#include "licorne/embedding.h"
#include "licorne/gelu.h"
#include "licorne/global_norm.h"
#include "licorne/linear.h"
#include "licorne/memory.h"
#include "licorne/quantize.h"
#include "licorne/quantized_embedding.h"
#include "licorne/quantized_linear.h"
#include "problem.h"
#include "suites.h"

namespace {

using namespace test;
using Bytes = std::vector<unsigned char>;

void memory() {
  Random random(1);
  for (int64_t count : {0, 1, 3, 8, 4099})
    for (bool misaligned : {false, true}) {
      for_types([&](int32_t type) {
        Problem fill(label("fill", type, {count}, misaligned), misaligned);
        Tensor& out = fill.output(count, type);
        fill.run([&] { return licorne_cuda_fill(out.data(), count, -1.7f, type, nullptr); });
        fill.near("out", out, Doubles(count, static_cast<double>(as_type(-1.7f, type))), 0, 0);
        const Floats x = random.floats(count);
        for_types([&](int32_t from) {
          Problem convert(label("convert", type, {count}, misaligned), misaligned);
          Tensor &target = convert.output(count, type), &source = convert.input(x, from);
          convert.run([&] { return licorne_cuda_convert(target.data(), source.data(), count, type, from, nullptr); });
          const Floats rounded = as_type(as_type(x, from), type);
          convert.near("out", target, Doubles(rounded.begin(), rounded.end()), 0, 0);
        });
      });
      Problem integers(label("fill_i32", LICORNE_F32, {count}, misaligned), misaligned);
      Tensor& out = integers.output(count);
      integers.run([&] { return licorne_cuda_fill_i32(out.ints(), count, -7, nullptr); });
      for (int64_t i = 0; i < count; i++) EXPECT(out.ints()[i] == -7);
      Problem sum(label("add_i32", LICORNE_F32, {count}, misaligned), misaligned);
      const Ints left = random.ints(count, INT32_MAX - 4, INT32_MAX), right = random.ints(count, -9, 9);
      Tensor &sums = sum.output(count), &x = sum.input(left), &y = sum.input(right);
      sum.run([&] { return licorne_cuda_add_i32(sums.ints(), x.ints(), y.ints(), count, nullptr); });
      for (int64_t i = 0; i < count; i++)
        EXPECT(sums.ints()[i] == static_cast<int32_t>(static_cast<uint32_t>(left[i]) + static_cast<uint32_t>(right[i])));
      Problem copy(label("copy", LICORNE_F32, {count}, misaligned), misaligned);
      Tensor &target = copy.output(count), &source = copy.input(random.ints(count, -9, 9));
      copy.run([&] { return licorne_cuda_copy(target.data(), source.data(), 4 * count, nullptr); });
      for (int64_t i = 0; i < count; i++) EXPECT(target.ints()[i] == source.ints()[i]);
    }
}

void embedding(int64_t N, int64_t C, int64_t Vp, int64_t P, int32_t type, bool misaligned) {
  Random random(static_cast<uint64_t>(N + C));
  const Floats table = as_type(random.floats(Vp * C), type), place = as_type(random.floats(P * C), type);
  const Ints tokens = random.ints(N, 0, static_cast<int32_t>(Vp - 1)), positions = random.ints(N, 0, static_cast<int32_t>(P - 1));
  Doubles expected(N * C);
  for (int64_t n = 0; n < N; n++)
    for (int64_t c = 0; c < C; c++)
      expected[n * C + c] = static_cast<double>(table[tokens[n] * C + c]) + place[positions[n] * C + c];
  Problem forward(label("embedding_forward", type, {N, C}, misaligned), misaligned);
  Tensor &out = forward.output(N * C, type), &tt = forward.input(table, type), &tp = forward.input(place, type);
  Tensor &ids = forward.input(tokens), &places = forward.input(positions);
  forward.run([&] {
    return licorne_cuda_embedding_forward(out.data(), tt.data(), tp.data(), ids.ints(), places.ints(), N, C, Vp, P, nullptr,
                                          type, nullptr);
  });
  forward.near("out", out, expected, 1e-6, 1e-6);

  // The order of additions is fixed, so floats added in that order are the exact answer.
  const Floats before = random.floats(Vp * C), before_place = random.floats(P * C), upstream = as_type(random.floats(N * C), type);
  Floats token_sums = before, place_sums = before_place;
  for (int64_t n = 0; n < N; n++)
    for (int64_t c = 0; c < C; c++) {
      token_sums[tokens[n] * C + c] += upstream[n * C + c];
      place_sums[positions[n] * C + c] += upstream[n * C + c];
    }
  for (bool with_positions : {true, false}) {
    Problem backward(label("embedding_backward", type, {N, C}, misaligned), misaligned);
    Tensor &dtokens = backward.updated(before), &dplaces = backward.updated(before_place);
    Tensor &dout = backward.input(upstream, type), &bids = backward.input(tokens), &bplaces = backward.input(positions);
    backward.run([&] {
      return licorne_cuda_embedding_backward(dtokens.floats(), with_positions ? dplaces.floats() : nullptr, dout.data(),
                                             bids.ints(), with_positions ? bplaces.ints() : nullptr, N, C, Vp, P, nullptr,
                                             type, nullptr);
    });
    backward.near("dtokens", dtokens, Doubles(token_sums.begin(), token_sums.end()), 0, 0);
    const Floats& places_expected = with_positions ? place_sums : before_place;
    backward.near("dpositions", dplaces, Doubles(places_expected.begin(), places_expected.end()), 0, 0);
  }
}

void embeddings() {
  for_types([](int32_t type) {
    embedding(0, 8, 4, 4, type, false);
    embedding(1, 1, 1, 1, type, false);
    embedding(37, 13, 11, 5, type, false);
    embedding(300, 24, 7, 300, type, false);
    embedding(50, 16, 30, 10, type, true);
    embedding(1500, 8, 2, 700, type, false);  // more rows than are looked at together
    embedding(3, 1032, 2, 2, type, false);
  });
  Problem problem("embedding bad index");
  Tensor &out = problem.output(4 * 4), &table = problem.input(Floats(12, 1.0f));
  Tensor& fault = problem.updated(Floats(LICORNE_CUDA_FAULT_WORDS, 0.0f));
  Tensor &tokens = problem.input(Ints{0, 7, 2, -1}), &gradient = problem.updated(Floats(12, 0.0f));
  problem.run([&] {
    const int32_t status = licorne_cuda_embedding_forward(out.data(), table.data(), nullptr, tokens.ints(), nullptr, 4, 4, 3,
                                                          0, fault.ints(), LICORNE_F32, nullptr);
    licorne_cuda_embedding_backward(gradient.floats(), nullptr, table.data(), tokens.ints(), nullptr, 3, 4, 3, 0, nullptr,
                                    LICORNE_F32, nullptr);
    return status;
  });
  const Doubles rows = out.values();
  for (int i = 0; i < 16; i++) EXPECT(rows[i] == (i / 4 % 2 == 0 ? 1.0 : 0.0));
  EXPECT(licorne_cuda_check_fault(fault.ints()) == LICORNE_INVALID_ARGUMENT);
  EXPECT(std::string(licorne_error_message()) == "embedding: tokens[1] = 7 is outside 0 to 2");
  EXPECT(licorne_cuda_check_fault(fault.ints()) == LICORNE_OK);  // it was forgotten
}

void global_norm() {
  Random random(3);
  for (int64_t count : {0, 1, 5, 1023, 70001})
    for (bool misaligned : {false, true}) {
      Floats x = random.floats(count, 3.0f);
      if (count > 3) x[3] = 1e25f;  // its square is no float
      double sum = 0;
      for (float value : x) sum += static_cast<double>(value) * value;
      Problem problem(label("global_norm", LICORNE_F32, {count}, misaligned), misaligned);
      Tensor &out = problem.output(1), &in = problem.input(x);
      void* workspace = problem.workspace(licorne_cuda_global_norm_workspace_bytes(count));
      problem.run([&] { return licorne_cuda_global_norm(out.floats(), in.floats(), workspace, count, nullptr); });
      problem.near("out", out, {std::sqrt(sum)}, 0, 1e-7);
    }
  for (float bad : {NAN, INFINITY}) {
    Floats x(1001, 1.0f);
    x[777] = bad;
    Problem problem("global_norm of what is not finite");
    Tensor &out = problem.output(1), &in = problem.input(x);
    void* workspace = problem.workspace(licorne_cuda_global_norm_workspace_bytes(1001));
    problem.run([&] { return licorne_cuda_global_norm(out.floats(), in.floats(), workspace, 1001, nullptr); });
    EXPECT(!std::isfinite(out.values()[0]));
  }
}

void adamw(int64_t count, bool clip, bool copied, bool misaligned) {
  Random random(static_cast<uint64_t>(count));
  const Floats p = random.floats(count), m = random.floats(count, 0.1f), g = random.floats(count);
  Floats v = random.floats(count, 0.1f);
  for (float& value : v) value = std::fabs(value);
  const float norm = 4.0f, max_norm = 1.0f, rate = 1e-2f, beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f, decay = 0.1f;
  Doubles ep(count), em(count), ev(count);
  for (int64_t i = 0; i < count; i++) {
    const double gradient = clip ? g[i] * 0.25 : g[i];
    em[i] = static_cast<double>(beta1) * m[i] + (1 - static_cast<double>(beta1)) * gradient;
    ev[i] = static_cast<double>(beta2) * v[i] + (1 - static_cast<double>(beta2)) * gradient * gradient;
    const double mh = em[i] / (1 - std::pow(static_cast<double>(beta1), 3)), vh = ev[i] / (1 - std::pow(static_cast<double>(beta2), 3));
    ep[i] = p[i] - static_cast<double>(rate) * (mh / (std::sqrt(vh) + static_cast<double>(epsilon)) + static_cast<double>(decay) * p[i]);
  }
  Problem problem(label("adamw", LICORNE_F32, {count}, misaligned), misaligned);
  Tensor &tp = problem.updated(p), &tm = problem.updated(m), &tv = problem.updated(v), &tg = problem.input(g);
  Tensor &weights = problem.output(count, LICORNE_BF16), &tn = problem.input(Floats{norm});
  problem.run([&] {
    return licorne_cuda_adamw(tp.floats(), copied ? weights.data() : nullptr, tm.floats(), tv.floats(), tg.floats(),
                              clip ? tn.floats() : nullptr, count, rate, beta1, beta2, epsilon, decay, max_norm, norm, 3, nullptr);
  });
  problem.near("parameters", tp, ep, 1e-6, 1e-6);
  problem.near("m", tm, em, 1e-7, 1e-6);
  problem.near("v", tv, ev, 1e-7, 1e-6);
  if (copied) {
    Doubles rounded = tp.values();
    for (double& value : rounded) value = static_cast<double>(as_bfloat16(static_cast<float>(value)));
    problem.near("weights", weights, rounded, 0, 0);
  }
}

void adamw_beyond(float norm, float largest) {
  Random random(77);
  const Floats x = random.floats(4099);
  Problem problem("adamw with a norm beyond use");
  Tensor &p = problem.updated(x), &m = problem.updated(x), &v = problem.updated(x), &g = problem.input(x);
  Tensor &weights = problem.output(4099, LICORNE_BF16), &n = problem.input(Floats{norm});
  problem.run([&] {
    return licorne_cuda_adamw(p.floats(), weights.data(), m.floats(), v.floats(), g.floats(), n.floats(), 4099, 1e-2f, 0.9f,
                              0.95f, 1e-8f, 0.1f, 1.0f, largest, 3, nullptr);
  });
  const Doubles before(x.begin(), x.end());
  for (Tensor* tensor : {&p, &m, &v}) problem.near("what stays", *tensor, before, 0, 0);
  for (double value : weights.values()) EXPECT(std::isnan(value));
}

void optimiser() {
  for (float norm : {NAN, INFINITY, 3.1f}) adamw_beyond(norm, std::isfinite(norm) ? 3.0f : INFINITY);
  for (int64_t count : {0, 1, 7, 4099})
    for (bool on : {false, true}) {
      adamw(count, on, !on, false);
      adamw(count, on, on, true);
    }
  EXPECT(licorne_cuda_adamw(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0, 0, 0, 0, 0, 0, 0, 0, 0, nullptr) ==
         LICORNE_INVALID_ARGUMENT);
}

void bias_gradient() {
  Random random(5);
  for_types([&](int32_t type) {
    for (const auto& [N, OC] : {std::pair<int64_t, int64_t>{0, 5}, {1, 1}, {3, 7}, {100, 40}, {259, 520}, {40, 2304}})
      for (bool misaligned : {false, true}) {
        const Floats dout = as_type(random.floats(N * OC), type), before = random.floats(OC);
        Doubles expected(before.begin(), before.end());
        for (int64_t n = 0; n < N; n++)
          for (int64_t o = 0; o < OC; o++) expected[o] += dout[n * OC + o];
        Problem problem(label("linear_backward_bias", type, {N, OC}, misaligned), misaligned);
        Tensor &dbias = problem.updated(before), &in = problem.input(dout, type);
        void* workspace = problem.workspace(licorne_cuda_linear_backward_bias_workspace_bytes(N, OC));
        problem.run([&, N = N, OC = OC] {
          return licorne_cuda_linear_backward_bias(dbias.floats(), in.data(), workspace, N, OC, type, nullptr);
        });
        problem.near("dbias", dbias, expected, 2e-5, 2e-6);
      }
  });
}

Bytes quantized(const Floats& x, int64_t OC, int64_t C, int32_t weight_type) {
  Problem problem(label("quantize", weight_type, {OC, C}));
  Tensor& in = problem.input(x);
  const int64_t bytes = x.empty() ? 0 : licorne::weight_bytes(weight_type, OC, C);
  Tensor& out = problem.bytes(Bytes(static_cast<size_t>(bytes), 0xff), true);
  problem.run([&] { return licorne_cuda_quantize(out.data(), in.floats(), OC, C, weight_type, nullptr); });
  return Bytes(out.data<unsigned char>(), out.data<unsigned char>() + bytes);
}

void quantize() {
  Random random(6);
  for (int32_t weight_type : {LICORNE_WEIGHT_BF16, LICORNE_WEIGHT_Q8, LICORNE_WEIGHT_Q4})
    for (const auto& [OC, C] : {std::pair<int64_t, int64_t>{0, 3}, {1, 1}, {16, 32}, {37, 70}, {20, 257}}) {
      Floats x = random.floats(OC * C);
      for (size_t i = 0; i + 1 < x.size(); i += 101) x[i] = 1e9f;          // beyond what a scale holds
      for (size_t i = 64; i + 40 < x.size(); i += 977) x[i] = NAN;
      for (int64_t c = 0; OC > 20 && c < C; c++) x[20 * C + c] = c % 2 ? 0.0f : 1e-9f;  // a scale of 0
      const Bytes ours = quantized(x, OC, C, weight_type);
      Bytes cpu(ours.size());
      EXPECT(licorne_cpu_quantize(cpu.data(), x.data(), OC, C, weight_type) == LICORNE_OK);
      EXPECT(ours == cpu);
    }
}

// What an op leaves with GELU is what it leaves without and GELU makes of it.
template <typename Op>
void with_gelu(const std::string& name, int64_t count, int32_t type, Op&& op) {
  Problem problem(name + " with gelu");
  Tensor &out = problem.output(count, type), &plain = problem.output(count, type), &later = problem.output(count, type);
  problem.run([&] {
    for (const int32_t status : {op(out.data(), 1), op(plain.data(), 0)})
      if (status != LICORNE_OK) return status;
    return licorne_cuda_gelu_forward(later.data(), plain.data(), count, type, nullptr);
  });
  EXPECT(out.values() == later.values());
}

void quantized_linear(int64_t N, int64_t C, int64_t OC, int32_t weight_type, int32_t type, bool with_bias, bool misaligned) {
  Random random(static_cast<uint64_t>(N * 7 + C));
  Floats x = random.floats(N * C, 2.0f);
  for (int64_t c = 0; N > 1 && c < C && c < 32; c++) x[C + c] = 1e-35f;  // a block too small to be anything
  x = as_type(x, type);
  const Floats w = random.floats(OC * C), bias = as_type(random.floats(OC), type);
  const Bytes packed = quantized(w, OC, C, weight_type);
  Floats row(static_cast<size_t>(C));
  Doubles expected(N * OC), factors(N * C);
  for (int64_t n = 0; n < N; n++)
    for (int64_t b = 0; b < C; b += 32) {
      float greatest = 0;
      const int64_t end = std::min(b + 32, C);
      for (int64_t c = b; c < end; c++) greatest = std::max(greatest, std::fabs(x[n * C + c]));
      for (int64_t c = b; c < end; c++)
        factors[n * C + c] = weight_type == LICORNE_WEIGHT_BF16 ? x[n * C + c]
                             : greatest < 0x1p-100f             ? 0
                                                                : static_cast<double>(rintf(x[n * C + c] * (127.0f / greatest))) *
                                                        (greatest / 127.0f);
    }
  for (int64_t o = 0; o < OC; o++) {
    licorne::weight_row(row.data(), packed.data(), o, C, weight_type);
    for (int64_t n = 0; n < N; n++) {
      double dot = with_bias ? bias[o] : 0;
      for (int64_t c = 0; c < C; c++) dot += factors[n * C + c] * static_cast<double>(row[c]);
      expected[n * OC + o] = dot;
    }
  }
  // Only tiles must be aligned, and tests of tiles say so by not being misaligned.
  Problem problem(label("quantized_linear w" + std::to_string(weight_type), type, {N, C, OC}, misaligned), misaligned);
  Tensor &out = problem.output(N * OC, type), &tx = problem.input(x, type), &weight = problem.bytes(packed, false);
  Tensor& tbias = problem.input(bias, type);
  void* workspace = problem.workspace(licorne_cuda_quantized_linear_forward_workspace_bytes(N, C, OC, weight_type));
  problem.run([&] {
    return licorne_cuda_quantized_linear_forward(out.data(), tx.data(), weight.data(), with_bias ? tbias.data() : nullptr,
                                                 workspace, N, C, OC, 0, weight_type, type, nullptr);
  });
  problem.near("out", out, expected, 1e-4, 2e-6);
  // A row has the same bits alone.
  if (N == 0 || OC == 0) return;
  if (C <= 64)  // more would take long
    with_gelu(label("quantized_linear", type, {N, C, OC}), N * OC, type, [&](void* result, int32_t gelu) {
      return licorne_cuda_quantized_linear_forward(result, tx.data(), weight.data(), with_bias ? tbias.data() : nullptr,
                                                   workspace, N, C, OC, gelu, weight_type, type, nullptr);
    });
  Problem alone(label("quantized_linear alone", type, {N, C, OC}));
  Tensor &one = alone.output(OC, type), &last = alone.input(Floats(x.end() - C, x.end()), type);
  Tensor &again = alone.bytes(packed, false), &same = alone.input(bias, type);
  alone.run([&] {
    return licorne_cuda_quantized_linear_forward(one.data(), last.data(), again.data(), with_bias ? same.data() : nullptr,
                                                 workspace, 1, C, OC, 0, weight_type, type, nullptr);
  });
  const Doubles all = out.values(), single = one.values();
  if (!misaligned) EXPECT(std::equal(single.begin(), single.end(), all.end() - OC));
}

void quantized_linears() {
  for_types([](int32_t type) {
    for (int32_t weight_type : {LICORNE_WEIGHT_BF16, LICORNE_WEIGHT_Q8, LICORNE_WEIGHT_Q4}) {
      quantized_linear(0, 32, 16, weight_type, type, true, false);
      quantized_linear(1, 0, 5, weight_type, type, true, false);
      quantized_linear(1, 1, 1, weight_type, type, false, false);
      quantized_linear(3, 37, 19, weight_type, type, true, false);
      quantized_linear(8, 768, 40, weight_type, type, false, false);
      quantized_linear(3, 4200, 21, weight_type, type, true, false);
      quantized_linear(15, 328, 33, weight_type, type, true, false);
      quantized_linear(4, 96, 200, weight_type, type, true, false);  // blocks of more outputs
      quantized_linear(27, 300, 40, weight_type, type, false, false);
      quantized_linear(50, 320, 40, weight_type, type, true, false);
      quantized_linear(258, 40, 17, weight_type, type, true, false);
    }
    quantized_linear(5, 64, 20, LICORNE_WEIGHT_BF16, type, true, true);
  });
  // A number that is not finite makes what depends on it NaN, and nothing else.
  for (int32_t weight_type : {LICORNE_WEIGHT_Q8, LICORNE_WEIGHT_Q4}) {
    Floats x(2 * 40, 1.0f);
    x[33] = INFINITY;
    const Bytes packed = quantized(Floats(3 * 40, 0.5f), 3, 40, weight_type);
    Problem problem("quantized_linear of infinity");
    Tensor &out = problem.output(6), &tx = problem.input(x), &weight = problem.bytes(packed, false);
    void* workspace = problem.workspace(licorne_cuda_quantized_linear_forward_workspace_bytes(2, 40, 3, weight_type));
    problem.run([&] {
      return licorne_cuda_quantized_linear_forward(out.data(), tx.data(), weight.data(), nullptr, workspace, 2, 40, 3, 0,
                                                   weight_type, LICORNE_F32, nullptr);
    });
    const Doubles values = out.values();
    for (int i = 0; i < 6; i++) EXPECT(std::isnan(values[i]) == (i < 3));
  }
}

// Few rows in bfloat16, and that the first of them give the same bits without the others.
void few_rows(int64_t N, int64_t C, int64_t OC, bool with_bias, bool misaligned) {
  constexpr int32_t type = LICORNE_BF16;
  Random random(static_cast<uint64_t>(N * 31 + C));
  const Floats x = as_type(random.floats(N * C), type), w = as_type(random.floats(OC * C), type);
  const Floats bias = as_type(random.floats(OC), type);
  Doubles expected(N * OC);
  for (int64_t n = 0; n < N; n++)
    for (int64_t o = 0; o < OC; o++) {
      double dot = with_bias ? bias[o] : 0;
      for (int64_t c = 0; c < C; c++) dot += static_cast<double>(x[n * C + c]) * w[o * C + c];
      expected[n * OC + o] = dot;
    }
  Doubles all;
  for (int64_t rows = N; rows > 0; rows /= 3) {
    Problem problem(label("linear_forward", type, {rows, C, OC}, misaligned), misaligned);
    Tensor &out = problem.output(rows * OC, type), &tx = problem.input(Floats(x.begin(), x.begin() + rows * C), type);
    Tensor &weight = problem.input(w, type), &tbias = problem.input(bias, type);
    problem.run([&] {
      return licorne_cuda_linear_forward(out.data(), tx.data(), weight.data(), with_bias ? tbias.data() : nullptr, rows, C, OC,
                                         0, type, nullptr);
    });
    if (rows == N) {
      problem.near("out", out, expected, 1e-5, 2e-6);
      all = out.values();
      if (C > 64) continue;  // it would take long
      with_gelu(label("linear_forward", type, {rows, C, OC}), rows * OC, type, [&](void* result, int32_t gelu) {
        return licorne_cuda_linear_forward(result, tx.data(), weight.data(), with_bias ? tbias.data() : nullptr, rows, C, OC, gelu,
                                           type, nullptr);
      });
    } else {
      const Doubles some = out.values();
      EXPECT(std::equal(some.begin(), some.end(), all.begin()));
    }
  }
}
void linears() {
  few_rows(1, 8, 1, false, false);
  few_rows(1, 768, 40, true, false);
  few_rows(2, 1600, 9, true, false);  // more than one round of all warps
  few_rows(5, 37, 19, true, false);
  few_rows(3, 104, 100, false, false);  // blocks of 16 outputs, and some that are not there
  few_rows(16, 264, 33, true, false);
  few_rows(29, 520, 40, true, false);
  few_rows(64, 264, 33, true, false);
  few_rows(40, 64, 20, true, false);
  few_rows(9, 24, 5, true, true);
  EXPECT(licorne_cuda_linear_few_rows() == 64);
  uint16_t number = 0;
  EXPECT(licorne_cuda_linear_forward(&number, &number, &number, nullptr, 65, 1, 1, 0, LICORNE_BF16, nullptr) ==
         LICORNE_UNSUPPORTED);
  EXPECT(licorne_cuda_linear_forward(&number, &number, &number, nullptr, 1, 1, 1, 0, LICORNE_F32, nullptr) == LICORNE_UNSUPPORTED);
  EXPECT(licorne_cuda_linear_forward(&number, nullptr, &number, nullptr, 1, 1, 1, 0, LICORNE_BF16, nullptr) ==
         LICORNE_INVALID_ARGUMENT);
  EXPECT(licorne_cuda_linear_forward(nullptr, nullptr, nullptr, nullptr, 0, 1, 0, 0, LICORNE_BF16, nullptr) == LICORNE_OK);
}

void quantized_embedding() {
  Random random(8);
  const int64_t N = 9, C = 70, Vp = 37, P = 4;
  const Floats table = random.floats(Vp * C), place = random.floats(P * C);
  const Ints tokens = random.ints(N, 0, Vp - 1), positions = random.ints(N, 0, P - 1);
  for_types([&](int32_t type) {
    for (int32_t weight_type : {LICORNE_WEIGHT_BF16, LICORNE_WEIGHT_Q8, LICORNE_WEIGHT_Q4})
      for (bool with_positions : {false, true}) {
        const Bytes packed = quantized(table, Vp, C, weight_type);
        Doubles expected(N * C);
        Floats row(C);
        for (int64_t n = 0; n < N; n++) {
          licorne::weight_row(row.data(), packed.data(), tokens[n], C, weight_type);
          for (int64_t c = 0; c < C; c++)
            expected[n * C + c] = static_cast<double>(row[c]) + (with_positions ? as_type(place[positions[n] * C + c], type) : 0);
        }
        Problem problem(label("quantized_embedding", type, {weight_type}));
        Tensor &out = problem.output(N * C, type), &weight = problem.bytes(packed, false), &tp = problem.input(place, type);
        Tensor &ids = problem.input(tokens), &places = problem.input(positions);
        problem.run([&] {
          return licorne_cuda_quantized_embedding_forward(out.data(), weight.data(), with_positions ? tp.data() : nullptr,
                                                          ids.ints(), places.ints(), N, C, Vp, P, weight_type, nullptr, type,
                                                          nullptr);
        });
        problem.near("out", out, expected, 1e-6, 1e-6);
      }
  });
}

}  // namespace

void test_table_ops() {
  memory();
  embeddings();
  global_norm();
  optimiser();
  bias_gradient();
  linears();
  quantize();
  quantized_linears();
  quantized_embedding();
}
