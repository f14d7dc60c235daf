// The CUDA attention kernels, over the emulator, against double loops: every mask, sizes that do not fill a tile, shared key
// heads, packed tensors, keys that nobody sees.
#include <algorithm>

#include "licorne/attention.h"
#include "licorne/cuda.h"
#include "problem.h"
#include "suites.h"

namespace {

using namespace test;

struct Case {
  int64_t B, T, S, H, G, D;
  int32_t type;
  int32_t kind = LICORNE_MASK_NONE;
  int64_t left = 0, right = 0;
  Ints prefix{}, queries{}, keys{}, documents{};
  bool packed = false, misaligned = false;
  bool one_batch = false;  // whose stride is 0
  std::string name() const {
    std::string text = std::string("attention ") + (type == LICORNE_BF16 ? "bf16" : "f32");
    for (int64_t size : {B, T, S, H, G, D}) text += " " + std::to_string(size);
    text += " mask " + std::to_string(kind) + (documents.empty() ? "" : " documents") + (packed ? " packed" : "");
    return text + (misaligned ? " misaligned" : "") + (one_batch ? " one batch" : "");
  }
  bool sees(int64_t b, int64_t i, int64_t j) const {
    const int64_t lengthQ = queries.empty() ? T : queries[b], lengthK = keys.empty() ? S : keys[b];
    const int64_t p = i + lengthK - lengthQ;
    if (i >= lengthQ || j >= lengthK) return false;
    if (kind == LICORNE_MASK_CAUSAL && j > p) return false;
    if (kind == LICORNE_MASK_PREFIX && j > p && j >= prefix[b]) return false;
    if (kind == LICORNE_MASK_WINDOW && (j < p - left || j > p + right)) return false;
    return documents.empty() || (p >= 0 && documents[b * S + p] == documents[b * S + j]);
  }
};

struct Result {
  Doubles out, lse, dq, dk, dv;  // (B,T,H,D), (B,H,T), and as q, k and v
};

double keep(double x) { return x; }
double to_bfloat16(double x) { return static_cast<double>(as_bfloat16(static_cast<float>(x))); }

// Plain attention; round is applied to what the naive implementation would store between products, and to results.
Result attention(const Case& c, const Floats& q, const Floats& k, const Floats& v, const Floats& dout, float scale,
                 double (*round)(double), const Doubles* given_out) {
  Result r;
  r.out.assign(c.B * c.T * c.H * c.D, 0.0);
  r.lse.assign(c.B * c.H * c.T, -INFINITY);
  r.dq = r.out;
  r.dk.assign(c.B * c.S * c.G * c.D, 0.0);
  r.dv = r.dk;
  Doubles s(c.S), p(c.S);
  for (int64_t b = 0; b < c.B; b++)
    for (int64_t h = 0; h < c.H; h++)
      for (int64_t i = 0; i < c.T; i++) {
        const int64_t at = ((b * c.T + i) * c.H + h) * c.D, g = h / (c.H / c.G);
        const auto key = [&](int64_t j) { return ((b * c.S + j) * c.G + g) * c.D; };
        double top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < c.S; j++) {
          if (!c.sees(b, i, j)) continue;
          s[j] = 0;
          for (int64_t d = 0; d < c.D; d++) s[j] += static_cast<double>(q[at + d]) * k[key(j) + d];
          s[j] *= scale;
          top = std::max(top, s[j]);
        }
        if (top == -INFINITY) continue;
        for (int64_t j = 0; j < c.S; j++)
          if (c.sees(b, i, j)) sum += std::exp(s[j] - top);
        const double lse = r.lse[(b * c.H + h) * c.T + i] = top + std::log(sum);
        double delta = 0;
        for (int64_t j = 0; j < c.S; j++) {
          if (!c.sees(b, i, j)) continue;
          p[j] = round(std::exp(s[j] - lse));
          for (int64_t d = 0; d < c.D; d++) r.out[at + d] += p[j] * v[key(j) + d];
        }
        for (int64_t d = 0; d < c.D; d++) {
          r.out[at + d] = round(r.out[at + d]);
          delta += (given_out ? (*given_out)[at + d] : r.out[at + d]) * dout[at + d];
        }
        for (int64_t j = 0; j < c.S; j++) {
          if (!c.sees(b, i, j)) continue;
          double dp = 0;
          for (int64_t d = 0; d < c.D; d++) dp += static_cast<double>(dout[at + d]) * v[key(j) + d];
          const double ds = round(p[j] * (dp - delta));
          for (int64_t d = 0; d < c.D; d++) {
            r.dq[at + d] += scale * ds * k[key(j) + d];
            r.dk[key(j) + d] += scale * ds * q[at + d];
            r.dv[key(j) + d] += p[j] * dout[at + d];
          }
        }
      }
  for (Doubles* values : {&r.dq, &r.dk, &r.dv})
    for (double& value : *values) value = round(value);
  return r;
}

// Float: near the double loops. Bfloat16: the greatest error at most twice, the mean error at most 1.5 times, that of the
// naive implementation in bfloat16, plus half a unit of the largest result (a quarter of that on average): where few rows
// count, the naive one can be lucky (measured: 2.3 times its mean error where the gradient comes from one row).
void compare(const Case& c, const char* what, const Doubles& actual, const Doubles& expected, const Doubles& naive,
             double tolerance) {
  double greatest = 0, mean = 0, naive_greatest = 0, naive_mean = 0, size = 0;
  for (size_t i = 0; i < expected.size(); i++) {
    if (std::isinf(expected[i]) && expected[i] == actual[i]) continue;
    const double error = std::fabs(actual[i] - expected[i]), naive_error = std::fabs(naive[i] - expected[i]);
    if (!(error <= greatest)) greatest = std::isnan(error) ? INFINITY : error;
    naive_greatest = std::max(naive_greatest, naive_error);
    mean += error / expected.size();
    naive_mean += naive_error / expected.size();
    size = std::max(size, std::fabs(expected[i]));
  }
  const double slack = tolerance * (1 + size), unit = size * 0x1p-9;
  const bool holds = c.type == LICORNE_F32
                         ? greatest <= slack
                         : greatest <= 2 * naive_greatest + unit && mean <= 1.5 * naive_mean + unit / 4;
  if (!holds) {
    failures++;
    fprintf(stderr, "%s: %s: errors at most %g, mean %g; naive %g and %g\n", c.name().c_str(), what, greatest, mean,
            naive_greatest, naive_mean);
  }
}

// Dense rows to tensors with strides and back.
struct Layout {
  int64_t tokens, width, token_stride, batch_stride;
  int64_t at(int64_t i) const { return i / width / tokens * batch_stride + i / width % tokens * token_stride + i % width; }
  void scatter(const Floats& dense, Floats& to, int64_t offset) const {
    for (size_t i = 0; i < dense.size(); i++) to[offset + at(static_cast<int64_t>(i))] = dense[i];
  }
  Doubles gather(const Doubles& from, int64_t offset, size_t count) const {
    Doubles dense(count);
    for (size_t i = 0; i < count; i++) dense[i] = from[offset + at(static_cast<int64_t>(i))];
    return dense;
  }
};

bool hoppers_turn = false;  // the kernels for Hopper must take the calls

void check(const Case& c, uint64_t seed) {
  Random random(seed);
  const int64_t query_width = c.H * c.D, key_width = c.G * c.D;
  Floats q = as_type(random.floats(c.B * c.T * query_width), c.type);
  Floats k = as_type(random.floats(c.B * c.S * key_width), c.type);
  Floats v = as_type(random.floats(c.B * c.S * key_width), c.type);
  Floats dout = as_type(random.floats(c.B * c.T * query_width), c.type);
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.D));
  for (int64_t b = 0; b < c.B; b++) {
    for (int64_t j = 0; j < c.S; j++) {
      bool seen = false;
      for (int64_t i = 0; i < c.T; i++) seen |= c.sees(b, i, j);
      if (seen) continue;
      for (int64_t d = 0; d < key_width; d++) k[(b * c.S + j) * key_width + d] = v[(b * c.S + j) * key_width + d] = NAN;
    }
  }
  const Result expected = attention(c, q, k, v, dout, scale, keep, nullptr);
  const Result naive = attention(c, q, k, v, dout, scale, c.type == LICORNE_BF16 ? to_bfloat16 : keep, nullptr);

  const int64_t gap = c.D;  // between tokens that are not packed
  const Layout queries{c.T, query_width, c.packed ? 3 * query_width : query_width + gap,
                       c.packed ? 3 * query_width * c.T : (query_width + gap) * c.T};
  const Layout keys{c.S, key_width, c.packed ? 3 * query_width : key_width + gap,
                    c.packed ? 3 * query_width * c.S : (key_width + gap) * c.S};
  const Layout outs{c.T, query_width, query_width, query_width * c.T};
  const size_t elements = static_cast<size_t>(c.type == LICORNE_BF16 ? 2 : 4);
  const auto moved = [&](Tensor& tensor, int64_t offset) { return tensor.data<char>() + offset * static_cast<int64_t>(elements); };
  const int64_t k_offset = c.packed ? query_width : 0, v_offset = c.packed ? 2 * query_width : 0;
  const auto stored = [&](std::initializer_list<std::pair<const Floats*, int64_t>> parts, const Layout& layout) {
    Floats all(static_cast<size_t>(c.B * layout.batch_stride), NAN);
    for (const auto& part : parts) layout.scatter(*part.first, all, part.second);
    return all;
  };
  const auto mask = [](Problem& problem, const Ints& values) { return values.empty() ? nullptr : problem.input(values).ints(); };
  alignas(16) int32_t fault[LICORNE_CUDA_FAULT_WORDS] = {};

  Problem forward(c.name() + " forward", c.misaligned);
  Tensor& out = forward.output(c.B * outs.batch_stride, c.type);
  Tensor& lse = forward.output(c.B * c.H * c.T);
  Tensor& q_in = c.packed ? forward.input(stored({{&q, 0}, {&k, k_offset}, {&v, v_offset}}, queries), c.type)
                          : forward.input(stored({{&q, 0}}, queries), c.type);
  Tensor& k_in = c.packed ? q_in : forward.input(stored({{&k, 0}}, keys), c.type);
  Tensor& v_in = c.packed ? q_in : forward.input(stored({{&v, 0}}, keys), c.type);
  const int32_t *prefix = mask(forward, c.prefix), *lengthsQ = mask(forward, c.queries), *lengthsK = mask(forward, c.keys);
  const int32_t* documents = mask(forward, c.documents);
  void* workspace = forward.workspace(licorne_cuda_attention_forward_workspace_bytes(c.B, c.T, c.S, c.H, c.G, c.D));
  forward.run([&] {
    return licorne_cuda_attention_forward(
        out.data(), lse.floats(), q_in.data(), moved(k_in, k_offset), moved(v_in, v_offset), workspace, c.B, c.T, c.S, c.H,
        c.G, c.D, queries.token_stride, c.one_batch ? 0 : queries.batch_stride, keys.token_stride,
        c.one_batch ? 0 : keys.batch_stride, outs.token_stride, c.one_batch ? 0 : outs.batch_stride, c.kind, c.left, c.right, prefix, lengthsQ, lengthsK, documents, scale, c.type, fault, nullptr);
  });
  // The kernel for Hopper leaves the number of tiles that its blocks drew behind the intervals.
  if (hoppers_turn) EXPECT(static_cast<const int32_t*>(workspace)[2 * c.B * c.T] > 0);
  compare(c, "out", out.values(), expected.out, naive.out, 2e-6);
  Case in_float = c;
  in_float.type = LICORNE_F32;
  compare(in_float, "lse", lse.values(), expected.lse, expected.lse, 2e-6);

  // The backward pass gets the rounded output, as it would in a model.
  Floats given(expected.out.begin(), expected.out.end()), sums(expected.lse.begin(), expected.lse.end());
  Problem backward(c.name() + " backward", c.misaligned);
  const Floats blank(static_cast<size_t>(c.B * queries.batch_stride), NAN), blank_keys(static_cast<size_t>(c.B * keys.batch_stride), NAN);
  Tensor& dq = backward.updated(blank, c.type);
  Tensor& dk = c.packed ? dq : backward.updated(blank_keys, c.type);
  Tensor& dv = c.packed ? dq : backward.updated(blank_keys, c.type);
  Tensor &dout_in = backward.input(dout, c.type), &out_in = backward.input(given, c.type), &lse_in = backward.input(sums);
  Tensor& q_again = c.packed ? backward.input(stored({{&q, 0}, {&k, k_offset}, {&v, v_offset}}, queries), c.type)
                             : backward.input(stored({{&q, 0}}, queries), c.type);
  Tensor& k_again = c.packed ? q_again : backward.input(stored({{&k, 0}}, keys), c.type);
  Tensor& v_again = c.packed ? q_again : backward.input(stored({{&v, 0}}, keys), c.type);
  void* scratch = backward.workspace(licorne_cuda_attention_backward_workspace_bytes(c.B, c.T, c.S, c.H, c.G, c.D));
  backward.run([&] {
    return licorne_cuda_attention_backward(
        dq.data(), moved(dk, k_offset), moved(dv, v_offset), dout_in.data(), out_in.data(), lse_in.floats(), q_again.data(),
        moved(k_again, k_offset), moved(v_again, v_offset), scratch, c.B, c.T, c.S, c.H, c.G, c.D, queries.token_stride,
        c.one_batch ? 0 : queries.batch_stride, keys.token_stride, c.one_batch ? 0 : keys.batch_stride, outs.token_stride,
        c.one_batch ? 0 : outs.batch_stride, c.kind, c.left,
        c.right, prefix, lengthsQ, lengthsK, documents, scale, c.type, fault, nullptr);
  });
  compare(c, "dq", queries.gather(dq.values(), 0, expected.dq.size()), expected.dq, naive.dq, 3e-6);
  compare(c, "dk", keys.gather(dk.values(), k_offset, expected.dk.size()), expected.dk, naive.dk, 3e-6);
  compare(c, "dv", keys.gather(dv.values(), v_offset, expected.dv.size()), expected.dv, naive.dv, 3e-6);
  EXPECT(licorne_cuda_check_fault(fault) == LICORNE_OK);
}

void masks(int32_t type) {
  const Ints two_documents = [] {
    Ints ids;
    for (int length : {1, 40, 77, 2, 30}) ids.insert(ids.end(), length, static_cast<int32_t>(ids.size()));
    return ids;
  }();
  const int64_t T = 150;
  check({1, T, T, 1, 1, 64, type}, 1);
  check({1, T, T, 1, 1, 64, type, LICORNE_MASK_CAUSAL}, 2);
  check({1, T, T, 2, 2, 64, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {}, {}, {}, true}, 3);
  check({2, 70, 70, 1, 1, 64, type, LICORNE_MASK_PREFIX, 0, 0, {20, 69}}, 4);
  check({1, T, T, 1, 1, 64, type, LICORNE_MASK_WINDOW, 33, 5}, 5);
  check({1, T, T, 1, 1, 64, type, LICORNE_MASK_WINDOW, INT64_MAX, 0}, 6);
  check({1, T, T, 1, 1, 64, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {}, {}, two_documents}, 7);
  check({1, T, T, 1, 1, 64, type, LICORNE_MASK_NONE, 0, 0, {}, {}, {}, two_documents}, 8);
  check({3, 70, 90, 1, 1, 64, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {70, 13, 30}, {90, 0, 11}}, 9);
  check({2, 9, 90, 4, 2, 64, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {}, {90, 50}}, 10);
}

// Every mask under large heads, whose kernels share the work in another way: more than one tile of 32 own rows and of 16
// passing ones, query heads that share keys, keys that nobody sees.
void large_heads(int32_t type) {
  Ints documents;
  for (int length : {1, 29, 17, 2, 20}) documents.insert(documents.end(), length, static_cast<int32_t>(documents.size()));
  check({1, 69, 69, 1, 1, 256, type}, 60);
  check({1, 69, 69, 1, 1, 256, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {}, {}, {}, true}, 61);
  check({2, 40, 40, 1, 1, 256, type, LICORNE_MASK_PREFIX, 0, 0, {20, 39}}, 62);
  check({1, 69, 69, 1, 1, 256, type, LICORNE_MASK_WINDOW, 17, 5}, 63);
  check({1, 69, 69, 1, 1, 256, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {}, {}, documents}, 64);
  check({3, 35, 45, 1, 1, 256, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {35, 7, 15}, {45, 0, 6}}, 65);
  check({2, 9, 45, 4, 2, 192, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {}, {45, 25}}, 66);
  check({1, 69, 69, 1, 1, 192, type, LICORNE_MASK_NONE, 0, 0, {}, {}, {}, documents}, 67);
  check({1, 40, 40, 2, 1, 136, type, LICORNE_MASK_WINDOW, 9, 0}, 68);
  check({1, 33, 50, 1, 1, 130, type, LICORNE_MASK_PREFIX, 0, 0, {25}}, 69);  // heads that do not fill vectors
}

// Where blocks may have more shared memory, heads from 97 to 128 have larger tiles.
void more_shared_memory(int32_t type) {
  emulation::use_device(1);
  check({1, 150, 150, 1, 1, 128, type}, 70);
  check({1, 150, 150, 2, 1, 128, type, LICORNE_MASK_CAUSAL}, 71);
  check({1, 99, 140, 1, 1, 112, type, LICORNE_MASK_WINDOW, 40, 3}, 72);
  emulation::use_device(0);
}

void shapes(int32_t type) {
  check({1, 33, 33, 1, 1, 32, type, LICORNE_MASK_CAUSAL}, 20);
  check({1, 70, 70, 2, 1, 80, type, LICORNE_MASK_CAUSAL}, 21);
  check({1, 70, 70, 1, 1, 96, type, LICORNE_MASK_CAUSAL}, 22);
  check({1, 140, 140, 1, 1, 128, type, LICORNE_MASK_CAUSAL}, 23);
  check({1, 40, 40, 1, 1, 256, type, LICORNE_MASK_CAUSAL}, 24);
  check({1, 20, 45, 3, 1, 72, type}, 25);
  check({1, 21, 21, 1, 1, 5, type, LICORNE_MASK_CAUSAL}, 26);
  Case unaligned{1, 30, 30, 2, 2, 64, type, LICORNE_MASK_CAUSAL};
  unaligned.misaligned = true;
  check(unaligned, 27);
  check({1, 1, 1, 1, 1, 64, type}, 28);
}

// Many small ones, whatever their mask.
void random_masks(int32_t type, int count) {
  Random random(100 + static_cast<uint64_t>(type));
  for (int n = 0; n < count; n++) {
    const Ints sizes = random.ints(8, 0, 1 << 20);
    Case c{1 + sizes[0] % 2, 1 + sizes[1] % 80, 1 + sizes[2] % 80, 2, 1 + sizes[3] % 2, 16, type};
    c.kind = sizes[4] % 4;
    if (c.kind == LICORNE_MASK_WINDOW) c.left = sizes[5] % (c.S + 1), c.right = sizes[6] % (c.S + 1);
    if (c.kind == LICORNE_MASK_PREFIX) c.prefix = random.ints(c.B, 0, static_cast<int>(c.S));
    if (sizes[7] & 1) c.queries = random.ints(c.B, 0, static_cast<int>(c.T));
    if (sizes[7] & 2) c.keys = random.ints(c.B, 0, static_cast<int>(c.S));
    if (sizes[7] & 4)
      for (int64_t b = 0; b < c.B; b++) {
        Ints ids = random.ints(c.S, 0, 4);
        std::sort(ids.begin(), ids.end());
        c.documents.insert(c.documents.end(), ids.begin(), ids.end());
      }
    check(c, 1000 + static_cast<uint64_t>(n));
  }
}

// What fits the kernels for Hopper: sizes beyond one tile of 128 or 192 own rows and of 64 or 128 passing ones.
void hopper() {
  licorne_cuda_attention_use_hopper(1);
  hoppers_turn = true;
  const int32_t type = LICORNE_BF16;
  Ints documents;
  for (int length : {1, 100, 77, 42}) documents.insert(documents.end(), length, static_cast<int32_t>(documents.size()));
  check({1, 220, 220, 1, 1, 64, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {}, {}, {}, true}, 40);
  check({2, 35, 35, 2, 1, 64, type, LICORNE_MASK_CAUSAL}, 41);
  check({1, 70, 300, 1, 1, 64, type, LICORNE_MASK_CAUSAL}, 42);
  check({1, 220, 220, 1, 1, 64, type, LICORNE_MASK_NONE, 0, 0, {}, {}, {}, documents}, 43);
  check({1, 220, 220, 1, 1, 64, type, LICORNE_MASK_WINDOW, 33, 5}, 44);
  check({2, 70, 70, 1, 1, 64, type, LICORNE_MASK_PREFIX, 0, 0, {20, 69}}, 45);
  check({1, 140, 140, 2, 2, 128, type, LICORNE_MASK_CAUSAL, 0, 0, {}, {}, {}, {}, true}, 46);
  check({1, 45, 20, 3, 1, 104, type}, 47);
  check({1, 45, 20, 1, 1, 128, type, LICORNE_MASK_CAUSAL}, 48);
  Case one_batch{1, 70, 70, 2, 1, 64, type, LICORNE_MASK_CAUSAL};
  one_batch.one_batch = true;
  check(one_batch, 49);
  licorne_cuda_attention_use_hopper(0);
  hoppers_turn = false;
}

void errors() {
  float x[64] = {};
  int32_t lengths[1] = {9}, documents[4] = {0, 2, 1, 3};
  alignas(16) int32_t fault[LICORNE_CUDA_FAULT_WORDS] = {};
  const auto forward = [&](int64_t T, int64_t D, float scale, int32_t type, const int32_t* keys, const int32_t* ids) {
    int32_t workspace[8];
    float lse[4];
    return licorne_cuda_attention_forward(x, lse, x + 16, x + 32, x + 48, workspace, 1, T, T, 1, 1, D, D, T * D, D, T * D, D,
                                          T * D, LICORNE_MASK_CAUSAL, 0, 0, nullptr, nullptr, keys, ids, scale, type, fault,
                                          nullptr);
  };
  EXPECT(forward(4, 4, 0.0f, LICORNE_F32, nullptr, nullptr) == LICORNE_INVALID_ARGUMENT);
  EXPECT(forward(4, 4, 1.0f, 7, nullptr, nullptr) == LICORNE_INVALID_ARGUMENT);
  EXPECT(forward(4, 257, 1.0f, LICORNE_BF16, nullptr, nullptr) == LICORNE_UNSUPPORTED);
  EXPECT(forward(0, 4, 1.0f, LICORNE_F32, nullptr, nullptr) == LICORNE_OK);
  for (int32_t type : {LICORNE_F32, LICORNE_BF16}) {
    EXPECT(forward(4, 4, 1.0f, type, lengths, nullptr) == LICORNE_OK);
    EXPECT(licorne_cuda_check_fault(fault) == LICORNE_INVALID_ARGUMENT);
    EXPECT(std::string(licorne_error_message()) == "attention: key_lengths[0] = 9 is outside 0 to 4");
    std::fill(std::begin(fault), std::end(fault), 0);
    EXPECT(forward(4, 4, 1.0f, type, nullptr, documents) == LICORNE_OK);
    EXPECT(licorne_cuda_check_fault(fault) == LICORNE_INVALID_ARGUMENT);
    EXPECT(std::string(licorne_error_message()) == "attention: documents[2] = 1 is less than the id before it");
    std::fill(std::begin(fault), std::end(fault), 0);
  }
}

}  // namespace

void test_attention() {
  for (int32_t type : {LICORNE_F32, LICORNE_BF16}) {
    masks(type);
    large_heads(type);
    more_shared_memory(type);
    shapes(type);
    random_masks(type, 25);
  }
  hopper();
  errors();
}
