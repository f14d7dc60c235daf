// Linear maps on small weights: checks, and how the work is cut. A handful of rows go to kernels that read the weights as
// they are stored. With more rows multiplying costs more than reading, so the weights become floats a panel at a time, in
// memory that stays in the caches, and the ordinary product does the rest; x is rounded in the same way in both cases, so
// that a prompt and the tokens after it see the same function.
#include "licorne/quantized_linear.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "cpu/weight_stream.h"
#include "cpu/weight_tile.h"
#include "licorne/linear.h"
#include "ops/quantized_linear/quantized_rows.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, quantize_row,
                    (const QuantizedRows& rows, const float* x, int64_t C, int64_t n, int64_t begin, int64_t end));
LICORNE_ISA_DECLARE(void, dequantize_row, (float* out, const QuantizedRows& rows, int64_t C, int64_t n));
LICORNE_ISA_DECLARE(void, dequantize_weight,
                    (float* out, const void* weight, int64_t C, int32_t type, int64_t begin, int64_t end));
LICORNE_ISA_DECLARE(void, quantized_linear_tiles,
                    (float* out, const QuantizedRows& x, const uint8_t* weight, const float* bias, int64_t N, int64_t OC,
                     int32_t type, int64_t begin, int64_t end));
LICORNE_ISA_DECLARE(void, quantized_linear_bf16,
                    (float* out, const float* x, const uint16_t* weight, const float* bias, int64_t N, int64_t C,
                     int64_t OC, int64_t begin, int64_t end));

namespace {

constexpr int64_t kFewRows = 16;
// Of x, to be quantised by one thread: a long row is a hidden layer's, of which each thread has computed a part.
constexpr int64_t kBlocksPerTask = 48;
// Of the product with many rows: 4 MB of x at C = 4,096, and 8 MB of weights.
constexpr int64_t kChunkRows = 256;
constexpr int64_t kPanelOutputs = 512;
constexpr int64_t kAlignment = 64;

int64_t blocks_of(int64_t C) { return round_up(C, kTileColumns) / kTileColumns; }

int64_t quantized_row_bytes(int64_t blocks) { return blocks * (4 + 4 + kTileColumns); }

QuantizedRows rows_in(char* workspace, int64_t N, int64_t blocks) {
  float* scales = reinterpret_cast<float*>(workspace);
  int32_t* sums = reinterpret_cast<int32_t*>(scales + N * blocks);
  return {scales, sums, reinterpret_cast<int8_t*>(sums + N * blocks), blocks, N};
}

// How the workspace is divided for many rows.
struct Many {
  Many(int64_t all_rows, int64_t C, int64_t OC, int32_t type)
      : rows(std::min(all_rows, kChunkRows)), outputs(std::min(OC, kPanelOutputs)) {
    const int64_t x_bytes = type == LICORNE_WEIGHT_BF16 ? 0 : rows * (4 * C + quantized_row_bytes(blocks_of(C)));
    x = 0;
    panel = round_up(x_bytes, kAlignment);
    result = panel + round_up(4 * outputs * C, kAlignment);
    bytes = result + round_up(4 * rows * outputs, kAlignment);
  }
  int64_t rows, outputs;
  int64_t x, panel, result, bytes;
};

void check_status(int32_t status) {
  if (status != LICORNE_OK) throw Error(static_cast<licorne_status>(status), "%s", licorne_error_message());
}

void few_rows(float* out, const float* x, const void* weight, const float* bias, void* workspace, int64_t N, int64_t C,
              int64_t OC, int32_t type) {
  if (type == LICORNE_WEIGHT_BF16) {
    weight_stream(weight, OC, 2 * C, x, 4 * N * C, [&](int64_t begin, int64_t end) {
      LICORNE_ISA_CALL(quantized_linear_bf16)(out, x, static_cast<const uint16_t*>(weight), bias, N, C, OC, begin, end);
    });
    return;
  }
  const QuantizedRows rows = rows_in(static_cast<char*>(workspace), N, blocks_of(C));
  parallel_chunks(rows.blocks, kBlocksPerTask, [&](int64_t begin, int64_t end, int) {
    for (int64_t n = 0; n < N; n++) LICORNE_ISA_CALL(quantize_row)(rows, x, C, n, begin, end);
  });
  const int64_t tile_rows = round_up(OC, kTileRows) / kTileRows;
  const int64_t x_bytes = N * quantized_row_bytes(rows.blocks);
  weight_stream(weight, tile_rows, rows.blocks * tile_bytes(type), rows.scales, x_bytes, [&](int64_t begin, int64_t end) {
    LICORNE_ISA_CALL(quantized_linear_tiles)(out, rows, static_cast<const uint8_t*>(weight), bias, N, OC, type, begin, end);
  });
}

void many_rows(float* out, const float* x, const void* weight, const float* bias, char* workspace, int64_t N, int64_t C,
               int64_t OC, int32_t type, int32_t precision) {
  const Many layout(N, C, OC, type);
  float* rounded = reinterpret_cast<float*>(workspace + layout.x);
  float* panel = reinterpret_cast<float*>(workspace + layout.panel);
  float* result = reinterpret_cast<float*>(workspace + layout.result);
  for (int64_t n = 0; n < N; n += layout.rows) {
    const int64_t rows = std::min(layout.rows, N - n);
    const float* factors = x + n * C;
    if (type != LICORNE_WEIGHT_BF16) {
      const QuantizedRows quantized =
          rows_in(reinterpret_cast<char*>(rounded + layout.rows * C), layout.rows, blocks_of(C));
      parallel_chunks(rows, 8, [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; row++) {
          LICORNE_ISA_CALL(quantize_row)(quantized, factors, C, row, 0, quantized.blocks);
          LICORNE_ISA_CALL(dequantize_row)(rounded, quantized, C, row);
        }
      });
      factors = rounded;
    }
    for (int64_t o = 0; o < OC; o += layout.outputs) {
      const int64_t outputs = std::min(layout.outputs, OC - o);
      parallel_chunks(outputs, 16, [&](int64_t begin, int64_t end, int) {
        LICORNE_ISA_CALL(dequantize_weight)(panel + begin * C, weight, C, type, o + begin, o + end);
      });
      check_status(licorne_cpu_linear_forward(result, factors, panel, bias == nullptr ? nullptr : bias + o, rows, C,
                                              outputs, precision));
      parallel_chunks(rows, 16, [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; row++)
          memcpy(out + (n + row) * OC + o, result + row * outputs, static_cast<size_t>(outputs) * sizeof(float));
      });
    }
  }
}

void check(const char* op, int64_t N, int64_t C, int64_t OC, int32_t type) {
  checked_elements(op, N, round_up(C, kTileColumns), 4);
  checked_elements(op, N, OC, 4);
  checked_elements(op, OC, round_up(C, kTileColumns), 4);
  if (type < LICORNE_WEIGHT_BF16 || type > LICORNE_WEIGHT_Q4)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown type %d", op, type);
}

int64_t workspace_bytes(int64_t N, int64_t C, int64_t OC, int32_t type) {
  if (N > kFewRows) return Many(N, C, OC, type).bytes;
  return type == LICORNE_WEIGHT_BF16 ? 0 : N * quantized_row_bytes(blocks_of(C));
}

}  // namespace
}  // namespace licorne

int64_t licorne_cpu_quantized_linear_forward_workspace_bytes(int64_t N, int64_t C, int64_t OC, int32_t type) {
  int64_t bytes = -1;
  licorne::guarded([&] {
    licorne::check("quantized_linear_forward", N, C, OC, type);
    bytes = licorne::workspace_bytes(N, C, OC, type);
  });
  return bytes;
}

int32_t licorne_cpu_quantized_linear_forward(float* out, const float* x, const void* weight, const float* bias,
                                             void* workspace, int64_t N, int64_t C, int64_t OC, int32_t type,
                                             int32_t precision) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "quantized_linear_forward";
    check(op, N, C, OC, type);
    check_pointer(op, "out", out, N * OC);
    check_pointer(op, "x", x, N * C);
    if (type == LICORNE_WEIGHT_BF16) check_pointer(op, "weight", static_cast<const uint16_t*>(weight), N > 0 ? OC * C : 0);
    check_pointer(op, "weight", static_cast<const uint8_t*>(weight), N > 0 ? OC * C : 0);
    check_pointer(op, "workspace", static_cast<const float*>(workspace), workspace_bytes(N, C, OC, type));
    if (N * OC == 0) return;
    if (N <= kFewRows)
      few_rows(out, x, weight, bias, workspace, N, C, OC, type);
    else
      many_rows(out, x, weight, bias, static_cast<char*>(workspace), N, C, OC, type, precision);
  });
}
