// The CUDA kernels, over the emulator, against plain double loops. The Java contract suite runs many more shapes over the
// same kernels; here are the sizes at which a kernel takes another path.
#include "licorne/gelu.h"
#include "licorne/layer_norm.h"
#include "problem.h"
#include "suites.h"

namespace {

using namespace test;

std::string label(const char* op, int32_t type, std::initializer_list<int64_t> sizes, bool misaligned = false) {
  std::string text = std::string(op) + (type == LICORNE_BF16 ? " bf16" : " f32");
  for (int64_t size : sizes) text += " " + std::to_string(size);
  return misaligned ? text + " misaligned" : text;
}

template <typename Body>
void for_types(Body body) {
  for (int32_t type : {LICORNE_F32, LICORNE_BF16}) body(type);
}

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
    const double rstd = 1 / std::sqrt(squares / C + epsilon);
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

void layer_norm(int64_t N, int64_t C, int32_t type, bool with_residual, bool misaligned) {
  Random random(static_cast<uint64_t>(N * 131 + C));
  const float epsilon = 1e-5f;
  Floats x = random.floats(N * C, 2.0f);
  for (int64_t c = 0; N > 1 && c < C; c++) x[C + c] = 3.0f;  // a constant row
  x = as_type(x, type);
  const Floats residual = with_residual ? as_type(random.floats(N * C), type) : Floats();
  const Floats gamma = as_type(random.floats(C), type), beta = as_type(random.floats(C), type);
  const Floats upstream = as_type(random.floats(N * C), type);
  const Floats skip = with_residual ? as_type(random.floats(N * C), type) : Floats();
  const Floats before = random.floats(C);
  const NormResult expected = norm(x, residual, gamma, beta, upstream, skip, before, N, C, type, epsilon, true);

  Problem forward(label("layer_norm_forward", type, {N, C}, misaligned), misaligned);
  Tensor &out = forward.output(N * C, type), &sum = forward.output(with_residual ? N * C : 0, type);
  Tensor &mean = forward.output(N), &rstd = forward.output(N), &tx = forward.input(x, type);
  Tensor &tresidual = forward.input(residual, type), &tgamma = forward.input(gamma, type), &tbeta = forward.input(beta, type);
  forward.run([&] {
    return licorne_cuda_layer_norm_forward(out.data(), with_residual ? sum.data() : nullptr, mean.floats(), rstd.floats(),
                                           tx.data(), with_residual ? tresidual.data() : nullptr, tgamma.data(),
                                           tbeta.data(), N, C, epsilon, type, nullptr);
  });
  if (with_residual) forward.near("sum", sum, expected.sum, 1e-6, 1e-6);
  forward.near("mean", mean, expected.mean, 1e-5, 1e-5);
  forward.near("rstd", rstd, expected.rstd, 0, 1e-4);
  forward.near("out", out, expected.out, 2e-5, 2e-5);

  Problem backward(label("layer_norm_backward", type, {N, C}, misaligned), misaligned);
  Floats normalised(expected.sum.begin(), expected.sum.end()), means(expected.mean.begin(), expected.mean.end());
  Floats rstds(expected.rstd.begin(), expected.rstd.end());
  Tensor &dx = backward.output(N * C, type), &dgamma = backward.updated(before), &dbeta = backward.updated(before);
  Tensor &dout = backward.input(upstream, type), &bx = backward.input(normalised, type), &bgamma = backward.input(gamma, type);
  Tensor &bmean = backward.input(means), &brstd = backward.input(rstds), &bskip = backward.input(skip, type);
  void* workspace = backward.workspace(licorne_cuda_layer_norm_backward_workspace_bytes(N, C));
  backward.run([&] {
    return licorne_cuda_layer_norm_backward(dx.data(), dgamma.floats(), dbeta.floats(), dout.data(), bx.data(),
                                            bgamma.data(), bmean.floats(), brstd.floats(),
                                            with_residual ? bskip.data() : nullptr, workspace, N, C, type, nullptr);
  });
  // A constant row has rstd 316: its gradient is that much larger.
  backward.near("dx", dx, expected.dx, N > 1 ? 5e-3 : 5e-5, 5e-5);
  backward.near("dgamma", dgamma, expected.dgamma, 2e-4, 2e-5);
  backward.near("dbeta", dbeta, expected.dbeta, 2e-5, 2e-5);
}

void layer_norms() {
  for_types([](int32_t type) {
    for (bool residual : {false, true}) {
      layer_norm(0, 8, type, residual, false);
      layer_norm(1, 1, type, residual, false);
      layer_norm(5, 7, type, residual, false);
      layer_norm(37, 64, type, residual, false);
      layer_norm(9, 768, type, residual, false);
      layer_norm(3, 768, type, residual, true);
      layer_norm(3, 1600, type, residual, false);
      layer_norm(2, 1031, type, residual, false);
    }
    layer_norm(2, type == LICORNE_BF16 ? 12288 : 8192, type, true, false);
  });
}

}  // namespace

void test_ops() {
  gelu();
  layer_norms();
}
