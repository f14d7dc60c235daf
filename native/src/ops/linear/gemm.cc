// How a matrix product is cut into tasks, and who packs what.
//
// One operand is shared: all threads pack it together, once, into one buffer, and then read it from the caches. That is the
// one with fewer rows or columns, so the buffer is small; always B for the gradient of a weight. The other one is owned: a task takes
// a block of it, packs it into its thread's own buffer and multiplies it with all of the shared one, so it too is packed
// once. Packing the owned blocks would wait for memory (weights come from there), so the micro-kernel asks for the next block
// while it multiplies this one.
#include "ops/linear/gemm.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>

#include "cpu/pool.h"

namespace licorne {
namespace {

// Units of the shared operand that are packed at a time: bounds the shared buffer at 13 MB.
constexpr int64_t kSharedUnits = 2048 * (kGemmSteps + 64);
// Rows of A that a task owns: in units they take at most this much of the second-level cache.
constexpr int64_t kOwnedRows = 96;
constexpr int64_t kOwnedUnits = 72 * 1024;
// Packed rows lie a line further apart than they are long, or many would fall into the same sets of a cache.
constexpr int64_t kLine = 16;

int64_t round_to(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
int64_t pieces(int64_t size, int64_t piece) { return (size + piece - 1) / piece; }
int64_t row_stride(int64_t steps) { return round_to(steps, kLine) + kLine; }

// Memory for packing that grows to what is asked for and is kept.
class Scratch {
 public:
  ~Scratch() { free(memory_); }
  float* floats(int64_t count) {
    if (count > floats_) {
      free(memory_);
      floats_ = 0;
      if (posix_memalign(&memory_, 64, static_cast<size_t>(count) * sizeof(float)) != 0) {
        memory_ = nullptr;
        return nullptr;
      }
      floats_ = count;
    }
    return static_cast<float*>(memory_);
  }

 private:
  void* memory_ = nullptr;
  int64_t floats_ = 0;
};

float* own_scratch(int64_t count) {
  thread_local Scratch scratch;
  return scratch.floats(count);
}

// One product at a time uses the shared buffer; the pool runs one op at a time anyway. Never destroyed, like the pool.
std::mutex& shared_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}
Scratch& shared_scratch() {
  static auto* scratch = new Scratch;
  return *scratch;
}

GemmOperand part(const GemmOperand& x, int64_t line, int64_t depth) {
  return {x.p + line * x.line_stride + depth * x.depth_stride, x.line_stride, x.depth_stride};
}

GemmAhead memory_of(const GemmOperand& x, int64_t lines, int64_t depths) {
  const int64_t size = static_cast<int64_t>(sizeof(float));
  if (lines <= 0) return {};
  const char* p = reinterpret_cast<const char*>(x.p);
  if (x.depth_stride == 1) return {p, lines, depths * size, x.line_stride * size};
  return {p, depths, lines * size, x.depth_stride * size};
}

class Product {
 public:
  Product(const GemmKernels& kernels, float* c, const GemmOperand& a, const GemmOperand& b, int64_t M, int64_t N,
          int64_t K, const float* bias, bool accumulate)
      : kernels_(kernels), c_(c), a_(a), b_(b), M_(M), N_(N), K_(K), bias_(bias), accumulate_(accumulate) {}

  void run() {
    const int64_t most = kGemmSteps * kernels_.pair;
    // The gradient of a weight, the one whose A lies the other way, comes from memory: it is gone through in whole rows.
    const bool share_a = M_ < N_ && a_.depth_stride == 1;
    const int64_t lines = share_a ? M_ : N_;
    for (depth_ = 0; depth_ < K_; depth_ += most) {
      depths_ = std::min(most, K_ - depth_);
      steps_ = gemm_steps(depths_, kernels_.pair);
      const int64_t most_lines = kSharedUnits / row_stride(steps_) / kGemmColumns * kGemmColumns;
      const int64_t lines_at_once = round_to(pieces(lines, pieces(lines, most_lines)), kGemmColumns);
      for (int64_t line = 0; line < lines; line += lines_at_once) {
        const int64_t count = std::min(lines_at_once, lines - line);
        if (share_a)
          columns_with_rows(line, count);
        else
          rows_with_columns(line, count);
        if (no_memory_.load()) throw std::bad_alloc();
      }
    }
  }

 private:
  // Rows of A need no packing where the micro-kernel can read them as they are.
  bool rows_in_place() const { return kernels_.pair == 1 && a_.depth_stride == 1 && depths_ % kGemmBeat == 0; }

  float* shared(int64_t count) {
    float* memory = shared_scratch().floats(count);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }

  // How many parts each of `blocks` owned blocks is cut into along the shared operand, so that no thread goes idle early.
  static int64_t parts_for(int64_t blocks, int64_t most) {
    return std::max<int64_t>(1, std::min(most, pieces(4 * static_cast<int64_t>(pool_threads()), blocks)));
  }

  GemmBlock block(int64_t row, int64_t column, int64_t rows, int64_t columns) const {
    GemmBlock block;
    block.c = c_ + row * N_ + column;
    block.c_row = N_;
    block.rows = rows;
    block.columns = columns;
    block.steps = steps_;
    block.onto_c = accumulate_ || depth_ > 0;
    block.bias = bias_ == nullptr ? nullptr : bias_ + column;
    return block;
  }

  // Rows `first` to first + count of A are shared; tasks own panels of B.
  void columns_with_rows(int64_t first, int64_t count) {
    const float* rows = a_.p + first * a_.line_stride + depth_;
    int64_t stride = a_.line_stride;
    if (!rows_in_place()) {
      stride = row_stride(steps_);
      float* packed = shared(count * stride);
      parallel_chunks(count, kLine, [&](int64_t begin, int64_t end, int) {
        kernels_.pack_rows(packed + begin * stride, stride, part(a_, first + begin, depth_), end - begin, depths_);
      });
      rows = packed;
    }
    const int64_t panels = pieces(N_, kGemmColumns);
    const int64_t parts = parts_for(panels, pieces(count, kGemmRows));
    const int64_t part_rows = round_to(pieces(count, parts), kGemmRows);
    parallel_for(panels * parts, [&](int64_t index, int) {
      const int64_t panel = index / parts, row = index % parts * part_rows;
      if (row >= count) return;
      float* packed = own_scratch(steps_ * kGemmColumns);
      if (packed == nullptr) {
        no_memory_.store(true);
        return;
      }
      const int64_t column = panel * kGemmColumns, columns = std::min(kGemmColumns, N_ - column);
      kernels_.pack_panel(packed, part(b_, column, depth_), columns, depths_);
      GemmBlock tile = block(first + row, column, std::min(part_rows, count - row), columns);
      tile.a = rows + row * stride;
      tile.a_row = stride;
      tile.b = packed;
      const int64_t next = column + kGemmColumns;
      if (row + part_rows >= count && next < N_)
        tile.ahead = memory_of(part(b_, next, depth_), std::min(kGemmColumns, N_ - next), depths_);
      kernels_.multiply(tile);
    });
  }

  // Columns `first` to first + count of B are shared; tasks own rows of A.
  void rows_with_columns(int64_t first, int64_t count) {
    const int64_t panels = pieces(count, kGemmColumns);
    float* columns = shared(panels * steps_ * kGemmColumns);
    parallel_for(panels, [&](int64_t panel, int) {
      const int64_t column = panel * kGemmColumns;
      kernels_.pack_panel(columns + column * steps_, part(b_, first + column, depth_),
                          std::min(kGemmColumns, count - column), depths_);
    });
    const bool in_place = rows_in_place();
    const int64_t stride = in_place ? a_.line_stride : row_stride(steps_);
    const int64_t owned = std::max(kGemmRows, std::min(kOwnedRows, kOwnedUnits / stride / kGemmRows * kGemmRows));
    const int64_t blocks = pieces(M_, owned);
    const int64_t parts = parts_for(blocks, panels);
    const int64_t part_columns = pieces(panels, parts) * kGemmColumns;
    parallel_for(blocks * parts, [&](int64_t index, int) {
      const int64_t row = index / parts * owned, column = index % parts * part_columns;
      if (column >= count) return;
      const int64_t height = std::min(owned, M_ - row);
      GemmBlock tile = block(row, first + column, height, std::min(part_columns, count - column));
      tile.a = a_.p + row * a_.line_stride + depth_;
      if (!in_place) {
        float* packed = own_scratch(owned * stride);
        if (packed == nullptr) {
          no_memory_.store(true);
          return;
        }
        kernels_.pack_rows(packed, stride, part(a_, row, depth_), height, depths_);
        tile.a = packed;
      }
      tile.a_row = stride;
      tile.b = columns + column * steps_;
      const int64_t next = row + owned;
      if (column + part_columns >= count && next < M_)
        tile.ahead = memory_of(part(a_, next, depth_), std::min(owned, M_ - next), depths_);
      kernels_.multiply(tile);
    });
  }

  const GemmKernels& kernels_;
  float* const c_;
  const GemmOperand a_, b_;
  const int64_t M_, N_, K_;
  const float* const bias_;
  const bool accumulate_;
  int64_t depth_ = 0, depths_ = 0, steps_ = 0;
  std::atomic<bool> no_memory_{false};
};

}  // namespace

void gemm(const GemmKernels& kernels, float* c, const GemmOperand& a, const GemmOperand& b, int64_t M, int64_t N, int64_t K,
          const float* bias, bool accumulate) {
  std::lock_guard<std::mutex> one_product_at_a_time(shared_mutex());
  Product(kernels, c, a, b, M, N, K, bias, accumulate).run();
}

}  // namespace licorne
