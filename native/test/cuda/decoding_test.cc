// The CUDA kernels of a decoding step, over the emulator: attention on a cache, appending to it, drawing a token.
#include <utility>

#include "licorne/attention_decode.h"
#include "licorne/cuda.h"
#include "licorne/key_value_append.h"
#include "licorne/sample.h"
#include "problem.h"
#include "sampling.h"
#include "suites.h"

namespace {

using namespace test;

std::string last_fault(int32_t* fault) {
  return licorne_cuda_check_fault(fault) == LICORNE_OK ? "" : licorne_error_message();
}

// The last token of each sequence comes beside the cache, which has something else there: the same bits as from the cache, which
// has the token afterwards.
void decode_appending(int64_t S, int64_t H, int64_t G, int64_t D, int32_t type, const Ints& lengths, const Floats& q,
                      const Floats& k, const Floats& v, const Doubles& expected, bool misaligned) {
  const int64_t B = static_cast<int64_t>(lengths.size()), token = G * D + 8, batch = S * token, query_batch = 3 * H * D;
  Floats old_k = k, old_v = v, new_k(B * query_batch, NAN), new_v = new_k;
  for (int64_t b = 0; b < B; b++)
    for (int64_t i = 0; i < G * D && lengths[b] > 0; i++) {
      const int64_t from = b * batch + (lengths[b] - 1) * token + i, to = b * query_batch + i;
      new_k[to] = std::exchange(old_k[from], NAN);
      new_v[to] = std::exchange(old_v[from], NAN);
    }
  Problem problem("attention_decode appending " + std::to_string(D), misaligned);
  Tensor &out = problem.output(B * H * D, type), &q_in = problem.input(q, type), &k_in = problem.updated(old_k, type);
  Tensor &v_in = problem.updated(old_v, type), &lengths_in = problem.input(lengths);
  Tensor &new_k_in = problem.input(new_k, type), &new_v_in = problem.input(new_v, type);
  void* workspace = problem.workspace(licorne_cuda_attention_decode_workspace_bytes(B, S, H, G, D));
  problem.run([&] {
    return licorne_cuda_attention_decode(out.data(), q_in.data(), k_in.data(), v_in.data(), new_k_in.data(), new_v_in.data(),
                                         lengths_in.ints(), workspace, B, S, H, G, D, query_batch, token, batch, H * D,
                                         1.0f / std::sqrt(static_cast<float>(D)), type, type, nullptr, nullptr);
  });
  EXPECT(out.values() == expected);
  const auto same = [](const Doubles& cache, const Floats& wanted) {
    for (size_t i = 0; i < cache.size(); i++)
      if (std::isnan(wanted[i]) ? !std::isnan(cache[i]) : cache[i] != static_cast<double>(wanted[i])) return false;
    return true;
  };
  EXPECT(same(k_in.values(), k) && same(v_in.values(), v));
}

void decode(int64_t S, int64_t H, int64_t G, int64_t D, int32_t type, int32_t cache, const Ints& lengths,
            bool misaligned = false) {
  Random random(static_cast<uint64_t>(S + 1000 * H + D));
  const int64_t B = static_cast<int64_t>(lengths.size()), token = G * D + 8, batch = S * token, query_batch = 3 * H * D;
  const Floats q = as_type(random.floats(B * query_batch), type);
  Floats k = as_type(random.floats(B * batch), cache), v = as_type(random.floats(B * batch), cache);
  for (int64_t b = 0; b < B; b++)
    for (int64_t i = lengths[b] * token; i < batch; i++) k[b * batch + i] = v[b * batch + i] = NAN;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  Doubles expected(B * H * D);
  for (int64_t b = 0; b < B; b++)
    for (int64_t h = 0; h < H; h++) {
      Doubles s(lengths[b]);
      const auto at = [&](int64_t j) { return b * batch + j * token + h / (H / G) * D; };
      double top = -INFINITY, sum = 0;
      for (int64_t j = 0; j < lengths[b]; j++) {
        for (int64_t d = 0; d < D; d++) s[j] += static_cast<double>(q[b * query_batch + h * D + d]) * k[at(j) + d];
        top = std::max(top, s[j] *= scale);
      }
      for (double& score : s) sum += score = std::exp(score - top);
      for (int64_t j = 0; j < lengths[b]; j++)
        for (int64_t d = 0; d < D; d++) expected[(b * H + h) * D + d] += s[j] / sum * v[at(j) + d];
    }
  Problem problem("attention_decode " + std::to_string(S) + " " + std::to_string(H) + " " + std::to_string(G) + " " +
                      std::to_string(D) + (type == LICORNE_BF16 ? " bf16" : " f32") + (cache == type ? "" : " on bf16"),
                  misaligned);
  Tensor &out = problem.output(B * H * D, type), &q_in = problem.input(q, type), &k_in = problem.input(k, cache);
  Tensor &v_in = problem.input(v, cache), &lengths_in = problem.input(lengths);
  void* workspace = problem.workspace(licorne_cuda_attention_decode_workspace_bytes(B, S, H, G, D));
  alignas(16) int32_t fault[LICORNE_CUDA_FAULT_WORDS] = {};
  problem.run([&] {
    return licorne_cuda_attention_decode(out.data(), q_in.data(), k_in.data(), v_in.data(), nullptr, nullptr, lengths_in.ints(),
                                         workspace, B, S, H, G, D, query_batch, token, batch, H * D, scale, type, cache, fault,
                                         nullptr);
  });
  problem.near("out", out, expected, 2e-6, 2e-6);
  EXPECT(last_fault(fault).empty());
  if (type == cache) decode_appending(S, H, G, D, type, lengths, q, k, v, out.values(), misaligned);
}

// Of activations and of the cache.
constexpr int32_t kTypes[][2] = {
    {LICORNE_F32, LICORNE_F32}, {LICORNE_BF16, LICORNE_BF16}, {LICORNE_F32, LICORNE_BF16}};

void decodes() {
  for (const auto& [type, cache] : kTypes) {
    decode(150, 2, 2, 64, type, cache, {150, 1, 0, 65});
    decode(70, 6, 3, 80, type, cache, {70, 33});
    decode(70, 3, 1, 96, type, cache, {64});
    decode(70, 16, 1, 128, type, cache, {69});
    decode(40, 2, 1, 256, type, cache, {40});
    decode(66, 5, 1, 1024, type, cache, {65});  // too large for eight heads at once
    decode(40, 2, 1, 20, type, cache, {40, 7});
    decode(40, 2, 2, 64, type, cache, {40, 7}, true);
    decode(2100, 1, 1, 32, type, cache, {2099});
  }
  float x[16] = {}, workspace[16];
  int32_t lengths[2] = {1, 3};
  alignas(16) int32_t fault[LICORNE_CUDA_FAULT_WORDS] = {};
  EXPECT(licorne_cuda_attention_decode(x, x + 4, x + 8, x + 12, nullptr, nullptr, lengths, workspace, 2, 2, 1, 1, 1, 1, 1, 2, 1, 1.0f,
                                       LICORNE_F32, LICORNE_F32, fault, nullptr) == LICORNE_OK);
  EXPECT(last_fault(fault) == "attention_decode: key_lengths[1] = 3 is outside 0 to 2");
}

void appends() {
  Random random(5);
  for (const auto& [type, cache_type] : kTypes)
    for (int64_t W : {64, 20, 7}) {
      const int64_t B = 2, T = 3, S = 5, stride = 3 * W;
      const Ints positions = {4, 0, -1, 2, 1, 3};
      const Floats keys = as_type(random.floats(B * T * stride), type);
      const Floats cache = as_type(random.floats(B * S * W), cache_type), rounded = as_type(keys, cache_type);
      Doubles expected(cache.begin(), cache.end()), expected_values = expected;
      for (int64_t row = 0; row < B * T; row++)
        for (int64_t w = 0; w < W && positions[row] >= 0; w++) {
          expected[(row / T * S + positions[row]) * W + w] = rounded[row * stride + w];
          expected_values[(row / T * S + positions[row]) * W + w] = rounded[row * stride + W + w];
        }
      Problem problem("key_value_append " + std::to_string(W));
      Tensor &key_cache = problem.updated(cache, cache_type), &value_cache = problem.updated(cache, cache_type);
      Tensor &packed = problem.input(keys, type), &places = problem.input(positions);
      alignas(16) int32_t fault[LICORNE_CUDA_FAULT_WORDS] = {};
      problem.run([&, type = type, cache_type = cache_type] {
        const char* values = packed.data<char>() + W * (type == LICORNE_BF16 ? 2 : 4);
        return licorne_cuda_key_value_append(key_cache.data(), value_cache.data(), packed.data(), values, places.ints(), B,
                                             T, S, W, stride, type, cache_type, fault, nullptr);
      });
      EXPECT(key_cache.values() == expected && value_cache.values() == expected_values);
      EXPECT(last_fault(fault).empty());
    }
  float cache[4] = {}, row[2] = {1, 2};
  int32_t position = 2;
  alignas(16) int32_t fault[LICORNE_CUDA_FAULT_WORDS] = {};
  EXPECT(licorne_cuda_key_value_append(cache, cache + 2, row, row, &position, 1, 1, 2, 1, 1, LICORNE_F32, LICORNE_F32, fault,
                                       nullptr) == LICORNE_OK);
  EXPECT(last_fault(fault) == "key_value_append: positions[0] = 2 is outside 0 to 1");
  EXPECT(std::all_of(cache, cache + 4, [](float x) { return x == 0; }));
}

void samples() {
  for (int64_t V : {1, 50, 1000, 3001, 20011})
    for (int kind = 0; kind < kSamplingKinds; kind++)
      for (const SamplingChoice& choice : kSamplingChoices) {
        if (V == 20011 && kind < 2) continue;  // large, for more equal logits than the kernel can gather
        const int64_t B = 4, Vp = V + 5, seed = -7 + V;
        const int32_t type = kind == 1 ? LICORNE_BF16 : LICORNE_F32;
        const Floats logits = as_type(sampling_logits(kind, B, V, Vp), type);
        const Ints streams = {0, 1, 5, 6}, positions = {0, 17, 1 << 20, -1};
        Problem problem("sample " + std::to_string(V) + " " + std::to_string(choice.temperature) + " " +
                        std::to_string(choice.top_k) + " " + std::to_string(choice.top_p));
        Tensor &tokens = problem.output(B), &logits_in = problem.input(logits, type), &streams_in = problem.input(streams);
        Tensor& positions_in = problem.input(positions);
        void* workspace = problem.workspace(licorne_cuda_sample_workspace_bytes(B));
        alignas(16) int32_t fault[LICORNE_CUDA_FAULT_WORDS] = {};
        problem.run([&] {
          return licorne_cuda_sample(tokens.ints(), logits_in.data(), streams_in.ints(), positions_in.ints(), workspace, B, V, Vp,
                                     choice.temperature, choice.top_k, choice.top_p, seed, type, fault, nullptr);
        });
        EXPECT(last_fault(fault).empty());
        for (int64_t b = 0; b < B; b++) {
          const Floats row(logits.begin() + b * Vp, logits.begin() + b * Vp + V);
          const double uniform = philox(static_cast<uint64_t>(seed), static_cast<uint64_t>(streams[b]), static_cast<uint64_t>(positions[b]));
          const int expected = positions[b] < 0 ? 0 : sampled(row, choice.temperature, choice.top_k, choice.top_p, uniform);
          if (tokens.ints()[b] == expected) continue;
          failures++;
          fprintf(stderr, "sample kind %d V %lld temperature %g top_k %lld top_p %g: expected %d, actual %d\n", kind, (long long)V,
                  choice.temperature, (long long)choice.top_k, choice.top_p, expected, tokens.ints()[b]);
        }
      }
  for (float broken : {NAN, INFINITY}) {
    float logits[4] = {0, 1, 2, broken};
    int32_t tokens[2] = {7, 7}, zeros[2] = {};
    alignas(16) int32_t fault[LICORNE_CUDA_FAULT_WORDS] = {};
    std::vector<uint64_t> workspace(static_cast<size_t>(licorne_cuda_sample_workspace_bytes(2)) / 8);
    EXPECT(licorne_cuda_sample(tokens, logits, zeros, zeros, workspace.data(), 2, 2, 2, 1, 0, 1, 1, LICORNE_F32, fault, nullptr) == LICORNE_OK);
    EXPECT(tokens[0] < 2 && tokens[1] == 0);
    EXPECT(last_fault(fault) == std::string("sample: the logits of row 1 are not numbers: ") +
                                    (std::isnan(broken) ? "logit 1 is NaN" : "the largest is infinite"));
  }
  EXPECT(licorne_cuda_sample(nullptr, nullptr, nullptr, nullptr, nullptr, 1, 2, 2, 1, 0, 1, 1, LICORNE_F32, nullptr, nullptr) ==
         LICORNE_INVALID_ARGUMENT);
}

}  // namespace

void test_decoding() {
  decodes();
  appends();
  samples();
}
