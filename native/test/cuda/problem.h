// One call of an op on memory of the device: tensors of float or bfloat16 with guard zones, outputs that start as NaN, and a
// run in several orders of threads that must all give the same bits and leave the inputs alone.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/half.h"
#include "licorne/status.h"

namespace test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;
using Ints = std::vector<int32_t>;

inline float as_bfloat16(float x) { return licorne::float_of_bfloat16(licorne::bfloat16_of_float(x)); }
inline float as_type(float x, int32_t type) { return type == LICORNE_BF16 ? as_bfloat16(x) : x; }

// What an input holds once it is stored as that type.
inline Floats as_type(Floats values, int32_t type) {
  for (float& value : values) value = as_type(value, type);
  return values;
}

inline std::string label(const std::string& op, int32_t type, std::initializer_list<int64_t> sizes, bool misaligned = false) {
  std::string text = op + (type == LICORNE_BF16 ? " bf16" : " f32");
  for (int64_t size : sizes) text += " " + std::to_string(size);
  return misaligned ? text + " misaligned" : text;
}

template <typename Body>
void for_types(Body body) {
  for (int32_t type : {LICORNE_F32, LICORNE_BF16}) body(type);
}

// Bytes between two guard zones. Under the address sanitizer there are none: it sees reads beyond the end too.
class Memory {
 public:
  Memory(std::vector<unsigned char> initial, size_t misalignment) : initial_(std::move(initial)), offset_(kGuard + misalignment) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 64, offset_ + initial_.size() + kGuard) != 0) abort();
    base_ = static_cast<unsigned char*>(memory);
    reset();
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { free(base_); }

  unsigned char* data() { return base_ + offset_; }
  size_t size() const { return initial_.size(); }
  void reset() {
    memset(base_, kGuardByte, offset_ + size() + kGuard);
    if (size() > 0) memcpy(data(), initial_.data(), size());
  }
  std::vector<unsigned char> bytes() const { return {base_ + offset_, base_ + offset_ + size()}; }
  bool unchanged() const { return bytes() == initial_; }
  bool guards_hold() const {
    for (size_t i = 0; i < offset_; i++)
      if (base_[i] != kGuardByte) return false;
    for (size_t i = 0; i < kGuard; i++)
      if (base_[offset_ + size() + i] != kGuardByte) return false;
    return true;
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr size_t kGuard = 0;
#else
  static constexpr size_t kGuard = 256;
#endif
  static constexpr unsigned char kGuardByte = 0xa5;
  std::vector<unsigned char> initial_;
  size_t offset_;
  unsigned char* base_;
};

class Tensor {
 public:
  Tensor(std::vector<unsigned char> initial, int32_t type, bool written, size_t misalignment)
      : memory_(std::move(initial), misalignment), type_(type), written_(written) {}
  template <typename T = void>
  T* data() {
    return reinterpret_cast<T*>(memory_.data());
  }
  float* floats() { return data<float>(); }
  int32_t* ints() { return data<int32_t>(); }
  int32_t type() const { return type_; }
  Doubles values() const {
    const std::vector<unsigned char> bytes = memory_.bytes();
    const size_t width = type_ == LICORNE_BF16 ? 2 : 4;
    Doubles result(bytes.size() / width);
    for (size_t i = 0; i < result.size(); i++) {
      if (type_ == LICORNE_BF16) {
        uint16_t half;
        memcpy(&half, &bytes[2 * i], 2);
        result[i] = static_cast<double>(licorne::float_of_bfloat16(half));
      } else {
        float value;
        memcpy(&value, &bytes[4 * i], 4);
        result[i] = static_cast<double>(value);
      }
    }
    return result;
  }

 private:
  friend class Problem;
  Memory memory_;
  int32_t type_;
  bool written_;
};

class Problem {
#if defined(LICORNE_CUDA_RACES)  // which are found in any order
  static constexpr uint64_t kOrders[] = {0};
#else
  static constexpr uint64_t kOrders[] = {0, 11, 12};
#endif

 public:
  // misaligned: every tensor starts one element after a 16-byte boundary.
  Problem(std::string name, bool misaligned = false) : name_(std::move(name)), misaligned_(misaligned) {}

  Tensor& input(const Floats& values, int32_t type = LICORNE_F32) { return add(encoded(values, type), type, false); }
  Tensor& input(const Ints& values) {
    std::vector<unsigned char> bytes(4 * values.size());
    if (!values.empty()) memcpy(bytes.data(), values.data(), bytes.size());
    return add(std::move(bytes), LICORNE_F32, false);
  }
  // Starts as NaN.
  Tensor& output(int64_t count, int32_t type = LICORNE_F32) {
    return add(std::vector<unsigned char>(static_cast<size_t>(count) * (type == LICORNE_BF16 ? 2 : 4), 0xff), type, true);
  }
  // Is added to, or overwritten in place.
  Tensor& updated(const Floats& values, int32_t type = LICORNE_F32) { return add(encoded(values, type), type, true); }
  Tensor& bytes(const std::vector<unsigned char>& values, bool written) { return add(values, LICORNE_F32, written); }
  // Always aligned, may hold anything.
  void* workspace(int64_t bytes) {
    workspaces_.emplace_back(std::vector<unsigned char>(static_cast<size_t>(bytes), 0xff), 0);
    return workspaces_.back().data();
  }

  void run(const std::function<int32_t()>& op) {
    std::vector<std::vector<unsigned char>> first;
    for (uint64_t order : kOrders) {
      emulation::set_order(order);
      for (Tensor& tensor : tensors_) tensor.memory_.reset();
      for (Memory& memory : workspaces_) memory.reset();
      const int32_t status = op();
      expect(status == LICORNE_OK, (name_ + ": " + licorne_error_message()).c_str(), __FILE__, __LINE__);
      size_t i = 0;
      for (Tensor& tensor : tensors_) {
        expect(tensor.memory_.guards_hold(), (name_ + ": wrote outside a tensor").c_str(), __FILE__, __LINE__);
        if (!tensor.written_)
          expect(tensor.memory_.unchanged(), (name_ + ": changed an input").c_str(), __FILE__, __LINE__);
        if (order == 0) {
          first.push_back(tensor.memory_.bytes());
        } else {
          expect(first[i] == tensor.memory_.bytes(), (name_ + ": other bits in another order").c_str(), __FILE__, __LINE__);
        }
        i++;
      }
      for (Memory& memory : workspaces_)
        expect(memory.guards_hold(), (name_ + ": wrote outside the workspace").c_str(), __FILE__, __LINE__);
    }
    emulation::set_order(0);
  }

  // Float: within absolute + relative |expected|. Bfloat16: against what correct rounding of the expected numbers loses,
  // at most twice its greatest error and 1.5 times its mean error, plus the float tolerance.
  void near(const char* what, const Tensor& tensor, const Doubles& expected, double absolute, double relative) {
    const Doubles actual = tensor.values();
    expect(actual.size() == expected.size(), (name_ + ": sizes differ").c_str(), __FILE__, __LINE__);
    double greatest = 0, mean = 0, greatest_rounding = 0, mean_rounding = 0, mean_tolerance = 0;
    for (size_t i = 0; i < expected.size(); i++) {
      const double error = std::fabs(actual[i] - expected[i]), tolerance = absolute + relative * std::fabs(expected[i]);
      if (std::isnan(expected[i]) ? std::isnan(actual[i]) : actual[i] == expected[i]) continue;
      if (tensor.type() == LICORNE_F32) {
        if (error <= tolerance) continue;
        fail(what, i, expected[i], actual[i]);
        return;
      }
      const double rounding = std::fabs(static_cast<double>(as_bfloat16(static_cast<float>(expected[i]))) - expected[i]);
      // Element by element half a unit more than rounding: the float result may lie on the other side of a tie.
      if (!(error <= std::fabs(expected[i]) * 0x1p-8 + tolerance)) {
        fail(what, i, expected[i], actual[i]);
        return;
      }
      greatest = std::max(greatest, error);
      greatest_rounding = std::max(greatest_rounding, rounding);
      mean += error;
      mean_rounding += rounding;
      mean_tolerance += tolerance;
    }
    if (!(greatest <= 2 * greatest_rounding + mean_tolerance) || !(mean <= 1.5 * mean_rounding + mean_tolerance)) {
      failures++;
      fprintf(stderr, "%s: %s: errors at most %g, in sum %g; rounding alone %g and %g\n", name_.c_str(), what, greatest, mean,
              greatest_rounding, mean_rounding);
    }
  }

 private:
  static std::vector<unsigned char> encoded(const Floats& values, int32_t type) {
    std::vector<unsigned char> bytes(values.size() * (type == LICORNE_BF16 ? 2 : 4));
    for (size_t i = 0; i < values.size(); i++) {
      if (type == LICORNE_BF16) {
        const uint16_t half = licorne::bfloat16_of_float(values[i]);
        memcpy(&bytes[2 * i], &half, 2);
      } else {
        memcpy(&bytes[4 * i], &values[i], 4);
      }
    }
    return bytes;
  }
  Tensor& add(std::vector<unsigned char> bytes, int32_t type, bool written) {
    return tensors_.emplace_back(std::move(bytes), type, written, misaligned_ ? (type == LICORNE_BF16 ? 2 : 4) : 0);
  }
  void fail(const char* what, size_t i, double expected, double actual) {
    failures++;
    fprintf(stderr, "%s: %s[%zu]: expected %g, actual %g\n", name_.c_str(), what, i, expected, actual);
  }

  std::string name_;
  bool misaligned_;
  std::deque<Tensor> tensors_;
  std::deque<Memory> workspaces_;
};

}  // namespace test
