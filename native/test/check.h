// The few things a native test needs: named tests, comparisons that NaN fails, random exact-size arrays.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace test {

inline int failures = 0;

inline void expect(bool condition, const char* what, const char* file, int line) {
  if (condition) return;
  failures++;
  fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

inline void near(const std::vector<double>& expected, const std::vector<float>& actual, double absolute, double relative,
                 const std::string& what) {
  for (size_t i = 0; i < expected.size(); i++) {
    const double difference = std::fabs(expected[i] - static_cast<double>(actual[i]));
    if (difference <= absolute + relative * std::fabs(expected[i])) continue;
    failures++;
    fprintf(stderr, "%s[%zu]: expected %g, actual %g\n", what.c_str(), i, expected[i], static_cast<double>(actual[i]));
    return;
  }
}

// Heap arrays of exactly the size: the address sanitizer sees one byte too many.
class Random {
 public:
  explicit Random(uint64_t seed) : generator_(seed) {}
  std::vector<float> floats(int64_t count, float scale = 1.0f) {
    std::normal_distribution<float> normal(0.0f, scale);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(generator_);
    return values;
  }
  std::vector<int32_t> ints(int64_t count, int32_t low, int32_t high) {
    std::uniform_int_distribution<int32_t> uniform(low, high);
    std::vector<int32_t> values(static_cast<size_t>(count));
    for (int32_t& value : values) value = uniform(generator_);
    return values;
  }

 private:
  std::mt19937_64 generator_;
};

}  // namespace test

#define EXPECT(condition) test::expect((condition), #condition, __FILE__, __LINE__)
