// Products with weights, whole and quantised, against plain double loops.
#include <cstring>

#include "licorne/linear.h"
#include "licorne/quantize.h"
#include "licorne/quantized_embedding.h"
#include "licorne/quantized_linear.h"
#include "suites.h"

namespace {

using namespace test;

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
    OK(licorne_cpu_linear_backward_weight(dweight.data(), dbias.data(), out.data(), x.data(), N, C, OC, 1, LICORNE_F32));
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
    OK(licorne_cpu_linear_backward_weight(dweight.data(), nullptr, x.data(), out.data(), rows, OC, C, 1, precision));
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
    Floats onto_zero(OC * C), overwritten = before;
    OK(licorne_cpu_linear_backward_weight(onto_zero.data(), nullptr, x.data(), out.data(), rows, OC, C, 1, precision));
    OK(licorne_cpu_linear_backward_weight(overwritten.data(), nullptr, x.data(), out.data(), rows, OC, C, 0, precision));
    EXPECT(onto_zero == overwritten);
    OK(licorne_cpu_linear_backward_weight(overwritten.data(), nullptr, nullptr, nullptr, 0, OC, C, 0, precision));
    EXPECT(overwritten == Floats(OC * C));
  }
  OK(licorne_cpu_set_threads(2));
}

}  // namespace

void test_linear() {
  linear_maps();
  if (licorne_cpu_get_isa() == LICORNE_CPU_AVX512 || has_bfloat16_products()) deep_products(LICORNE_F32);
  if (has_bfloat16_products()) deep_products(LICORNE_BF16);
  small_weights();
}
