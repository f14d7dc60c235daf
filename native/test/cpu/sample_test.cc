// Drawing tokens against sorting everything.
#include <cstring>

#include "licorne/sample.h"
#include "sampling.h"
#include "suites.h"

namespace {

using namespace test;

void samples() {
  for (int64_t V : {1, 50, 1000, 3001, 50257})
    for (int kind = 0; kind < kSamplingKinds; kind++)
      for (const SamplingChoice& choice : kSamplingChoices) {
        const int64_t B = V > 10000 ? 1 : 4, Vp = V + 5, seed = -7 + V;
        if (V > 10000 && kind == 1) continue;  // as 0 where activations are F32
        const Floats logits = sampling_logits(kind, B, V, Vp);
        Ints streams = {0, 1, 5, 6}, positions = {17, 0, 1 << 20, -1}, tokens(B);
        std::vector<char> workspace(static_cast<size_t>(licorne_cpu_sample_workspace_bytes(B, V)));
        OK(licorne_cpu_sample(tokens.data(), logits.data(), streams.data(), positions.data(), workspace.data(), B, V, Vp,
                              choice.temperature, choice.top_k, choice.top_p, seed));
        for (int64_t b = 0; b < B; b++) {
          const Floats row(logits.begin() + b * Vp, logits.begin() + b * Vp + V);
          const double uniform = philox(static_cast<uint64_t>(seed), static_cast<uint64_t>(streams[b]),
                                              static_cast<uint64_t>(positions[b]));
          const int expected = positions[b] < 0 ? 0 : sampled(row, choice.temperature, choice.top_k, choice.top_p, uniform);
          if (tokens[b] == expected) continue;
          failures++;
          fprintf(stderr, "sample kind %d V %lld temperature %g top_k %lld top_p %g: expected %d, actual %d\n", kind,
                  (long long)V, choice.temperature, (long long)choice.top_k, choice.top_p, expected, tokens[b]);
        }
      }
  for (float broken : {NAN, INFINITY}) {
    const float logits[4] = {0, 1, 2, broken};
    int32_t tokens[2] = {7, 7}, zeros[2] = {};
    std::vector<char> workspace(static_cast<size_t>(licorne_cpu_sample_workspace_bytes(2, 2)));
    EXPECT(licorne_cpu_sample(tokens, logits, zeros, zeros, workspace.data(), 2, 2, 2, 1, 0, 1, 1) == LICORNE_NOT_A_NUMBER);
    EXPECT(strstr(licorne_error_message(), std::isnan(broken) ? "row 1 are not numbers: logit 1" : "largest is infinite") != nullptr);
    EXPECT(tokens[0] < 2 && tokens[1] == 0);
  }
}

}  // namespace

void test_sample() { samples(); }
