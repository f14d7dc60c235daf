// What the native library must do by itself, on every instruction set the machine has: the ops against plain double
// loops, masks against their definition, and errors. The Java contract suite checks far more shapes; these tests exist to
// run under the sanitizers.
#include <cstring>

#include "licorne/embedding.h"
#include "licorne/gelu.h"
#include "licorne/memory.h"
#include "licorne/softmax.h"
#include "suites.h"

namespace {

using namespace test;

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
  for (const int64_t bytes : {int64_t{1000}, (int64_t{9} << 20) + 5}) {
    const int64_t address = licorne_cpu_allocate(bytes);
    char* data = reinterpret_cast<char*>(address);
    data[bytes / 2] = 7;
    OK(licorne_cpu_populate(address, bytes));
    EXPECT(data[0] == 0 && data[bytes / 2] == 7 && data[bytes - 1] == 0);
    licorne_cpu_free(address, bytes);
  }
  OK(licorne_cpu_populate(0, 0));
  EXPECT(licorne_cpu_available_bytes() > 0);
  Floats values(300000, 1.0f), copy(300000);
  OK(licorne_cpu_fill_f32(values.data(), 300000, 2.5f));
  OK(licorne_cpu_copy(copy.data(), values.data(), 1200000));
  EXPECT(copy[299999] == 2.5f);
}

}  // namespace

int main() {
  static const char* names[] = {"scalar", "neon", "avx2", "avx512", "avx512_bf16"};
  test_masks();
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
    test_linear();
    test_rows();
    test_sample();
    test_attention();
    printf("%s: tested\n", names[isa]);
    tested++;
  }
  EXPECT(tested > 0);
  printf("%d failures\n", test::failures);
  return test::failures == 0 ? 0 : 1;
}
