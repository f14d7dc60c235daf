// What fixes the weight of a token on every processor and device: weight = rint(2^40 2^y) with y = (logit - largest) log2(e) /
// temperature, where 2^y = 2^n 2^r with n the nearest whole number, and 2^r is a polynomial whose value at 0 is 1. Each
// operation below is one of double precision, rounded to nearest, and none may be fused with another: then all give the same
// bits, and sums of whole numbers do not depend on their order.
#pragma once

#include <cstdint>

namespace licorne {

constexpr int kUnitBits = 40;
constexpr int64_t kMostTokens = int64_t{1} << 22;  // so many weights stay below 2^62 together

// Below this a weight is 0 for certain; it keeps minus infinity out of the arithmetic.
constexpr double kLeastExponent = -64.0;
// Added to y it leaves n + kUnitBits in the last bits of the sum.
constexpr double kRounder = 0x1.8p52 + kUnitBits;
// Added to a positive number below it, it leaves that number, rounded, in the last bits of the sum.
constexpr double kWhole = 0x1p52;
constexpr uint64_t kWholeBits = uint64_t{0x433} << 52;

// 2^r = 1 + r (c[0] + r (c[1] + ...)) for |r| <= 1/2: minimax, relative error 7.7e-14.
constexpr int kDegree = 9;
constexpr double kPowerOf2[kDegree] = {0.6931471805585505,     0.24022650695813708,   0.055504108739712246,
                                       0.009618129159172244,   0.0013333547331461978, 0.0001540345603665657,
                                       1.5258493063907014e-05, 1.3255182784592006e-06, 9.16811938851594e-08};

// What y is per unit of logit; a temperature near 0 must not make it infinite.
inline double exponent_per_logit(double temperature) {
  const double factor = 1.4426950408889634 / temperature;
  return factor < 0x1p900 ? factor : 0x1p900;
}

}  // namespace licorne
