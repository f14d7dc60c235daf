// The CUDA kernels that work on rows and elements, over the emulator, against plain double loops. The Java contract suite
// runs many more shapes over the same kernels; here are the sizes at which a kernel takes another path.
#include "common/check.h"
#include "licorne/cross_entropy.h"
#include "licorne/cuda.h"
#include "licorne/gelu.h"
#include "licorne/layer_norm.h"
#include "licorne/rms_norm.h"
#include "licorne/softmax.h"
#include "licorne/swiglu.h"
#include "problem.h"
#include "suites.h"

namespace {

using namespace test;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

void gelu() {
  Random random(1);
  for_types([&](int32_t type) {
    for (int64_t count : {0, 1, 7, 8, 4096, 10007})
      for (bool misaligned : {false, true}) {
        Floats x = random.floats(count, 3.0f);
        for (size_t i = 0; i + 6 < x.size(); i += 97) {
          const float special[] = {0.0f, 1e4f, -1e4f, 1e30f, -1e30f, 100.0f};
          x[i] = special[i / 97 % 6];
        }
        x = as_type(x, type);
        const Floats upstream = as_type(random.floats(count), type);
        Doubles expected(x.size()), gradient(x.size());
        for (size_t i = 0; i < x.size(); i++) {
          const double value = x[i], k = 2 * std::sqrt(2 / M_PI), s = sigmoid(k * (value + 0.044715 * value * value * value));
          const double slope = s * (1 - s) == 0 ? 0 : value * s * (1 - s) * k * (1 + 3 * 0.044715 * value * value);
          expected[i] = value * s;
          gradient[i] = upstream[i] * (s + slope);
        }
        Problem forward(label("gelu_forward", type, {count}, misaligned), misaligned);
        Tensor &out = forward.output(count, type), &in = forward.input(x, type);
        forward.run([&] { return licorne_cuda_gelu_forward(out.data(), in.data(), count, type, nullptr); });
        forward.near("out", out, expected, 1e-6, 2e-6);

        Problem backward(label("gelu_backward", type, {count}, misaligned), misaligned);
        Tensor &dx = backward.output(count, type), &dout = backward.input(upstream, type), &again = backward.input(x, type);
        backward.run([&] {
          return licorne_cuda_gelu_backward(dx.data(), dout.data(), again.data(), count, type, nullptr);
        });
        backward.near("dx", dx, gradient, 1e-6, 3e-6);
      }
  });
  Problem in_place("gelu in place");
  const Floats x = random.floats(100);
  Tensor& both = in_place.updated(x);
  in_place.run([&] { return licorne_cuda_gelu_forward(both.data(), both.data(), 100, LICORNE_F32, nullptr); });
  EXPECT(std::fabs(both.values()[5] - x[5] * sigmoid(2 * std::sqrt(2 / M_PI) * (x[5] + 0.044715 * std::pow(x[5], 3)))) < 1e-6);
  EXPECT(licorne_cuda_gelu_forward(nullptr, nullptr, -1, LICORNE_F32, nullptr) == LICORNE_INVALID_ARGUMENT);
  EXPECT(licorne_cuda_gelu_forward(nullptr, nullptr, 0, 7, nullptr) == LICORNE_INVALID_ARGUMENT);
}

struct NormResult {
  Doubles sum, mean, rstd, out, dx, dgamma, dbeta;
};

// Both normalisations; dx is the gradient plus dresidual, dgamma and dbeta are added to.
NormResult norm(const Floats& x, const Floats& residual, const Floats& gamma, const Floats& beta, const Floats& dout,
                const Floats& dresidual, const Floats& dgamma, int64_t N, int64_t C, int32_t type, double epsilon,
                bool centred) {
  NormResult r;
  r.sum.resize(N * C), r.out.resize(N * C), r.dx.resize(N * C), r.mean.resize(N), r.rstd.resize(N);
  r.dgamma.assign(dgamma.begin(), dgamma.end());
  r.dbeta = r.dgamma;
  for (int64_t n = 0; n < N; n++) {
    double mean = 0, squares = 0;
    for (int64_t c = n * C; c < (n + 1) * C; c++) {
      r.sum[c] = residual.empty() ? x[c] : as_type(x[c] + residual[c], type);
      mean += r.sum[c] / C;
    }
    if (!centred) mean = 0;
    for (int64_t c = n * C; c < (n + 1) * C; c++) squares += (r.sum[c] - mean) * (r.sum[c] - mean);
    const double rstd = 1 / std::sqrt((C == 0 ? 0 : squares / C) + epsilon);
    double sum_g = 0, sum_gx = 0;
    for (int64_t c = 0; c < C; c++) {
      const double normalised = (r.sum[n * C + c] - mean) * rstd, d = dout[n * C + c], g = d * gamma[c];
      r.out[n * C + c] = normalised * gamma[c] + (centred ? beta[c] : 0);
      sum_g += centred ? g : 0;
      sum_gx += g * normalised;
      r.dgamma[c] += d * normalised;
      r.dbeta[c] += d;
    }
    for (int64_t c = 0; c < C; c++) {
      const double normalised = (r.sum[n * C + c] - mean) * rstd, g = dout[n * C + c] * static_cast<double>(gamma[c]);
      r.dx[n * C + c] = rstd * (g - sum_g / C - normalised * sum_gx / C) + (dresidual.empty() ? 0 : dresidual[n * C + c]);
    }
    r.mean[n] = mean;
    r.rstd[n] = rstd;
  }
  return r;
}

void check_norm(int64_t N, int64_t C, int32_t type, bool centred, bool with_residual, bool misaligned) {
  Random random(static_cast<uint64_t>(N * 131 + C));
  const float epsilon = 1e-5f;
  Floats x = random.floats(N * C, 2.0f);
  for (int64_t c = 0; N > 1 && c < C; c++) x[C + c] = centred ? 3.0f : 0.0f;  // a row that is constant, or zero
  x = as_type(x, type);
  Floats residual = with_residual ? as_type(random.floats(N * C), type) : Floats();
  for (int64_t c = 0; N > 1 && with_residual && c < C; c++) residual[C + c] = centred ? 1.0f : 0.0f;
  const Floats gamma = as_type(random.floats(C), type), beta = as_type(random.floats(C), type);
  const Floats upstream = as_type(random.floats(N * C), type);
  const Floats skip = with_residual ? as_type(random.floats(N * C), type) : Floats();
  const Floats before = random.floats(C);
  const NormResult expected = norm(x, residual, gamma, beta, upstream, skip, before, N, C, type, epsilon, centred);
  const std::string name = centred ? "layer_norm" : "rms_norm";

  Problem forward(label(name + "_forward", type, {N, C}, misaligned), misaligned);
  Tensor &out = forward.output(N * C, type), &sum = forward.output(with_residual ? N * C : 0, type);
  Tensor &mean = forward.output(centred ? N : 0), &rstd = forward.output(N), &tx = forward.input(x, type);
  Tensor &tresidual = forward.input(residual, type), &tgamma = forward.input(gamma, type), &tbeta = forward.input(beta, type);
  forward.run([&] {
    void* target = with_residual ? sum.data() : nullptr;
    const void* other = with_residual ? tresidual.data() : nullptr;
    return centred ? licorne_cuda_layer_norm_forward(out.data(), target, mean.floats(), rstd.floats(), tx.data(), other,
                                                     tgamma.data(), tbeta.data(), N, C, epsilon, type, nullptr)
                   : licorne_cuda_rms_norm_forward(out.data(), target, rstd.floats(), tx.data(), other, tgamma.data(), N,
                                                   C, epsilon, type, nullptr);
  });
  if (with_residual) forward.near("sum", sum, expected.sum, 1e-6, 1e-6);
  if (centred) forward.near("mean", mean, expected.mean, 1e-5, 1e-5);
  forward.near("rstd", rstd, expected.rstd, 0, 1e-4);
  forward.near("out", out, expected.out, 2e-5, 2e-5);

  Problem backward(label(name + "_backward", type, {N, C}, misaligned), misaligned);
  Floats normalised(expected.sum.begin(), expected.sum.end()), means(expected.mean.begin(), expected.mean.end());
  Floats rstds(expected.rstd.begin(), expected.rstd.end());
  Tensor &dx = backward.output(N * C, type), &dgamma = backward.updated(before), &dbeta = backward.updated(before);
  Tensor &dout = backward.input(upstream, type), &bx = backward.input(normalised, type), &bgamma = backward.input(gamma, type);
  Tensor &bmean = backward.input(means), &brstd = backward.input(rstds), &bskip = backward.input(skip, type);
  void* workspace = backward.workspace(centred ? licorne_cuda_layer_norm_backward_workspace_bytes(N, C)
                                               : licorne_cuda_rms_norm_backward_workspace_bytes(N, C));
  backward.run([&] {
    const void* other = with_residual ? bskip.data() : nullptr;
    return centred ? licorne_cuda_layer_norm_backward(dx.data(), dgamma.floats(), dbeta.floats(), dout.data(), bx.data(),
                                                      bgamma.data(), bmean.floats(), brstd.floats(), other, workspace, N,
                                                      C, type, nullptr)
                   : licorne_cuda_rms_norm_backward(dx.data(), dgamma.floats(), dout.data(), bx.data(), bgamma.data(),
                                                    brstd.floats(), other, workspace, N, C, type, nullptr);
  });
  // A constant row has rstd 316: its gradient is that much larger.
  backward.near("dx", dx, expected.dx, N > 1 ? 5e-3 : 5e-5, 5e-5);
  backward.near("dgamma", dgamma, expected.dgamma, 2e-4, 2e-5);
  if (centred) backward.near("dbeta", dbeta, expected.dbeta, 2e-5, 2e-5);
}

// The size of a workspace is asked for without a status: errors are numbers below 0.
void sizes_that_fail() {
  EXPECT(licorne::guarded_bytes([] { return int64_t{7}; }) == 7);
  const auto fails = []() -> int64_t { throw licorne::Error(LICORNE_UNSUPPORTED, "no device"); };
  EXPECT(licorne::guarded_bytes(fails) == -LICORNE_UNSUPPORTED);
  EXPECT(std::string(licorne_error_message()) == "no device");
}

void norms() {
  for_types([](int32_t type) {
    for (bool centred : {true, false}) {
      for (bool residual : {false, true}) {
        check_norm(0, 8, type, centred, residual, false);
        check_norm(3, 0, type, centred, residual, false);
        check_norm(1, 1, type, centred, residual, false);
        check_norm(5, 7, type, centred, residual, false);
        check_norm(37, 64, type, centred, residual, false);
        check_norm(3, 1600, type, centred, residual, false);
        check_norm(50, 768, type, centred, residual, false);  // more rows than warps on the emulated device
      }
      for (int64_t C : {1280, 2000, 2048, 2056}) check_norm(2, C, type, centred, true, false);
      check_norm(3, 768, type, centred, true, true);
      check_norm(7, 1024, type, centred, true, false);
      check_norm(2, 1031, type, centred, true, false);
      check_norm(2, 8200, type, centred, true, false);
    }
    check_norm(2, type == LICORNE_BF16 ? 12288 : 8192, type, true, true, false);
    check_norm(2, type == LICORNE_BF16 ? 4000 : 3000, type, false, true, false);
    check_norm(2, 6000, type, true, false, false);
  });
}

void swiglu() {
  Random random(2);
  for_types([&](int32_t type) {
    for (const auto& [N, F] : {std::pair<int64_t, int64_t>{0, 8}, {3, 1}, {5, 13}, {4, 64}, {3, 2056}})
      for (bool misaligned : {false, true}) {
        Floats x = random.floats(N * 2 * F, 3.0f);
        for (size_t i = 0; i + 3 < x.size(); i += 31) {
          const float special[] = {-1e4f, 1e4f, -100.0f, 100.0f};
          x[i] = special[i / 31 % 4];
        }
        x = as_type(x, type);
        const Floats upstream = as_type(random.floats(N * F), type);
        Doubles expected(N * F), gradient(N * 2 * F);
        for (int64_t n = 0; n < N; n++)
          for (int64_t f = 0; f < F; f++) {
            const double gate = x[n * 2 * F + f], up = x[n * 2 * F + F + f], s = sigmoid(gate), d = upstream[n * F + f];
            expected[n * F + f] = gate * s * up;
            gradient[n * 2 * F + f] = d * up * (s + gate * s * sigmoid(-gate));
            gradient[n * 2 * F + F + f] = d * gate * s;
          }
        Problem forward(label("swiglu_forward", type, {N, F}, misaligned), misaligned);
        Tensor &out = forward.output(N * F, type), &in = forward.input(x, type);
        forward.run([&, N = N, F = F] {
          return licorne_cuda_swiglu_forward(out.data(), in.data(), N, F, type, nullptr);
        });
        forward.near("out", out, expected, 1e-6, 3e-6);
        // In place: dx is x.
        Problem backward(label("swiglu_backward", type, {N, F}, misaligned), misaligned);
        Tensor &both = backward.updated(x, type), &dout = backward.input(upstream, type);
        backward.run([&, N = N, F = F] {
          return licorne_cuda_swiglu_backward(both.data(), dout.data(), both.data(), N, F, type, nullptr);
        });
        backward.near("dx", both, gradient, 2e-6, 5e-6);
      }
  });
}

// Logits with what a row may hold; the padding is NaN.
Floats rows_of_logits(Random& random, int64_t N, int64_t V, int64_t Vp, int32_t type) {
  Floats x = random.floats(N * Vp, 3.0f);
  for (int64_t n = 0; n < N; n++) {
    for (int64_t v = V; v < Vp; v++) x[n * Vp + v] = NAN;
    for (int64_t v = 0; n % 3 == 1 && v < V; v++) x[n * Vp + v] += 1e4f;
    if (n % 4 == 2 && V > 2) x[n * Vp + 1] = -INFINITY;
  }
  return as_type(x, type);
}

constexpr struct {
  int64_t N, V, Vp;
} kRowShapes[] = {{0, 5, 8}, {3, 1, 1}, {5, 7, 7}, {6, 50, 64}, {4, 1031, 1031},
                  {8, 4100, 4112},     // more rows than blocks on the emulated device
                  {1, 27000, 27008}};  // more than shared memory holds

void softmax() {
  Random random(3);
  for_types([&](int32_t type) {
    for (const auto& [N, V, Vp] : kRowShapes)
      for (bool misaligned : {false, true}) {
        if (misaligned && Vp > 2000) continue;
        Floats x = rows_of_logits(random, N, V, Vp, type);
        for (int64_t v = 0; N > 4 && v < V; v++) x[4 * Vp + v] = -INFINITY;
        const Floats upstream = as_type(random.floats(N * Vp), type);
        Doubles expected(N * Vp), gradient(N * Vp);
        for (int64_t n = 0; n < N; n++) {
          double top = -INFINITY, sum = 0, dot = 0;
          for (int64_t v = 0; v < V; v++) top = std::max(top, static_cast<double>(x[n * Vp + v]));
          for (int64_t v = 0; v < V && std::isfinite(top); v++) sum += std::exp(x[n * Vp + v] - top);
          for (int64_t v = 0; v < V; v++)
            expected[n * Vp + v] = sum == 0 ? 0 : std::exp(x[n * Vp + v] - top) / sum;
          for (int64_t v = 0; v < V; v++)
            dot += static_cast<double>(as_type(static_cast<float>(expected[n * Vp + v]), type)) * upstream[n * Vp + v];
          for (int64_t v = 0; v < V; v++)
            gradient[n * Vp + v] = as_type(static_cast<float>(expected[n * Vp + v]), type) * (upstream[n * Vp + v] - dot);
        }
        Problem forward(label("softmax_forward", type, {N, V, Vp}, misaligned), misaligned);
        Tensor& both = forward.updated(x, type);
        forward.run([&, N = N, V = V, Vp = Vp] {
          return licorne_cuda_softmax_forward(both.data(), both.data(), N, V, Vp, type, nullptr);
        });
        forward.near("out", both, expected, 1e-8, 1e-5);
        Problem backward(label("softmax_backward", type, {N, V, Vp}, misaligned), misaligned);
        Floats probabilities(expected.begin(), expected.end());
        Tensor &dx = backward.output(N * Vp, type), &dout = backward.input(upstream, type);
        Tensor& out = backward.input(probabilities, type);
        backward.run([&, N = N, V = V, Vp = Vp] {
          return licorne_cuda_softmax_backward(dx.data(), dout.data(), out.data(), N, V, Vp, type, nullptr);
        });
        backward.near("dx", dx, gradient, 1e-7, 1e-4);
      }
  });
  EXPECT(licorne_cuda_softmax_forward(nullptr, nullptr, 0, 9, 8, LICORNE_F32, nullptr) == LICORNE_INVALID_ARGUMENT);
}

void cross_entropy(int64_t N, int64_t V, int64_t Vp, int32_t type, float smoothing, float z_loss, bool misaligned) {
  Random random(static_cast<uint64_t>(V));
  Floats logits = rows_of_logits(random, N, V, Vp, type);
  if (smoothing != 0)
    for (float& x : logits)
      if (std::isinf(x)) x = 0.0f;
  Ints targets = random.ints(N, 0, static_cast<int32_t>(V - 1));
  if (N > 0) targets[0] = static_cast<int32_t>(V - 1);
  if (N > 2) targets[2] = -1;
  const float scale = 0.25f;
  Doubles losses(N), gradient(N * Vp);
  for (int64_t n = 0; n < N; n++) {
    if (targets[n] < 0) continue;
    const float* row = &logits[n * Vp];
    double top = -INFINITY, sum = 0, total = 0;
    for (int64_t v = 0; v < V; v++) top = std::max(top, static_cast<double>(row[v]));
    for (int64_t v = 0; v < V; v++) sum += std::exp(row[v] - top), total += row[v];
    const double lse = std::log(sum) + top;
    losses[n] = lse - (1 - static_cast<double>(smoothing)) * row[targets[n]] -
                (smoothing == 0 ? 0 : static_cast<double>(smoothing) * total / V) + z_loss * lse * lse;
    for (int64_t v = 0; v < V; v++)
      gradient[n * Vp + v] = (std::exp(row[v] - lse) * (1 + 2 * z_loss * lse) -
                              (v == targets[n] ? 1 - static_cast<double>(smoothing) : 0) - static_cast<double>(smoothing) / V) *
                             scale;
  }
  const std::string name = label("cross_entropy", type, {N, V, Vp}, misaligned);
  Problem forward(name + " forward", misaligned);
  Tensor &only = forward.output(N), &tlogits = forward.input(logits, type), &ttargets = forward.input(targets);
  Tensor& none = forward.input(Ints(8, 0));
  forward.run([&] {
    return licorne_cuda_cross_entropy_forward(only.floats(), tlogits.data(), ttargets.ints(), N, V, Vp, smoothing, z_loss,
                                              misaligned ? nullptr : none.ints(), type, nullptr);
  });
  forward.near("losses", only, losses, 2e-5, 2e-5);
  Problem backward(name + " backward", misaligned);
  Tensor &both = backward.output(N), &in_place = backward.updated(logits, type), &again = backward.input(targets);
  backward.run([&] {
    return licorne_cuda_cross_entropy_backward(both.floats(), in_place.data(), in_place.data(), again.ints(), N, V, Vp,
                                               scale, smoothing, z_loss, nullptr, type, nullptr);
  });
  backward.near("losses", both, losses, 2e-5, 2e-5);
  // With z-loss the factor is up to 2e-4 1e4 times the probability.
  backward.near("dlogits", in_place, gradient, 1e-7, 1e-4);
}

void cross_entropies() {
  for_types([](int32_t type) {
    for (const auto& [N, V, Vp] : kRowShapes) {
      cross_entropy(N, V, Vp, type, 0.0f, 0.0f, false);
      if (Vp < 2000) cross_entropy(N, V, Vp, type, 0.1f, 1e-4f, true);
    }
    cross_entropy(7, 50, 64, type, 0.1f, 0.0f, false);
    cross_entropy(7, 50, 64, type, 1.0f, 1e-4f, false);
  });
  // Bad targets: the row nearest the start is told, and has loss and gradient 0.
  Problem problem("cross_entropy bad target");
  Tensor &losses = problem.output(4), &dlogits = problem.output(16), &logits = problem.input(Floats(16, 1.0f));
  Tensor &targets = problem.input(Ints{1, 3, 0, -2}), &fault = problem.updated(Floats(LICORNE_CUDA_FAULT_WORDS, 0.0f));
  problem.run([&] {
    return licorne_cuda_cross_entropy_backward(losses.floats(), dlogits.data(), logits.data(), targets.ints(), 4, 3, 4, 1, 0,
                                               0, fault.ints(), LICORNE_F32, nullptr);
  });
  EXPECT(losses.values()[1] == 0 && losses.values()[3] == 0 && dlogits.values()[4] == 0 && dlogits.values()[0] != 0);
  EXPECT(licorne_cuda_check_fault(fault.ints()) == LICORNE_INVALID_ARGUMENT);
  EXPECT(std::string(licorne_error_message()) == "cross_entropy: targets[1] = 3 is outside 0 to 2");
  EXPECT(licorne_cuda_cross_entropy_forward(nullptr, nullptr, nullptr, 0, 1, 1, 1.5f, 0, nullptr, LICORNE_F32, nullptr) ==
         LICORNE_INVALID_ARGUMENT);
  EXPECT(licorne_cuda_cross_entropy_forward(nullptr, nullptr, nullptr, 0, 1, 1, 0, NAN, nullptr, LICORNE_F32, nullptr) ==
         LICORNE_INVALID_ARGUMENT);
}

}  // namespace

void test_row_ops() {
  gelu();
  sizes_that_fail();
  norms();
  swiglu();
  softmax();
  cross_entropies();
}
