// Normalisation of rows with the residual addition before it: layer normalisation (centred) and root-mean-square
// normalisation (not centred), forward and backward. Bound by memory: a row is read once and waits in registers, at its own
// width, while its sums are made; the squares are those of the deviations from the mean (E[x^2] - mean^2 would cancel).
//
// Who takes a row: rows of up to 2,048 (forward) or 1,024 (backward) bfloat16 columns, or 1,024 and 768 floats, one warp each,
// without a barrier; longer ones a block each, of as many warps as there is work for, up to 256 (forward) or 512 (backward)
// threads. A thread's columns are the same for every row. Rows longer than registers hold, with a length that is no multiple of
// 16 bytes, or at addresses that are not, are read again for each sum, element by element (`any` kernels). So are rows without
// columns, whose mean is 0.
//
// Backward: a few blocks per multiprocessor go over the rows with the stride of the grid. A thread keeps the sums for gamma
// and beta of its columns in registers over all its rows, the block leaves them as one row of the workspace, and a second
// kernel adds those rows in order: no atomics, the same bits every time on one device.
#pragma once

#include <utility>

#include "cuda/columns.h"
#include "cuda/element.h"
#include "cuda/reduce.h"

namespace licorne {
namespace {

constexpr int kNormThreads = 256;
constexpr int kNormBackwardThreads = 512;
constexpr int kWarpRowThreads = 128;  // of the backward kernel with a warp per row
constexpr int kBlocksPerMultiprocessor = 4;

// Packs per lane of the kernels with a warp per row, which round a row up to so many, and per thread of those with a block.
template <typename T>
struct NormSizes {  // bfloat16
  using ForwardWarp = std::integer_sequence<int, 3, 4, 5, 7, 8>;
  using ForwardBlock = std::integer_sequence<int, 2, 4, 8>;
  using BackwardWarp = std::integer_sequence<int, 3, 4>;
  using BackwardBlock = std::integer_sequence<int, 1, 3>;  // up to 12,288 columns without spilling
};
template <>
struct NormSizes<float> {
  using ForwardWarp = std::integer_sequence<int, 6, 8>;
  using ForwardBlock = std::integer_sequence<int, 2, 4, 8>;
  using BackwardWarp = std::integer_sequence<int, 6>;
  using BackwardBlock = std::integer_sequence<int, 1, 4>;  // up to 8,192
};

// Calls body with the first of the rising sizes that is not below `wanted`, or says that there is none.
template <int... sizes, typename Body>
bool with_size(std::integer_sequence<int, sizes...>, int64_t wanted, Body&& body) {
  return ((wanted <= sizes ? (body(Width<sizes>()), true) : false) || ...);
}

template <typename T>
struct NormForward {
  T *out, *sum;
  float *mean, *rstd;
  const T *x, *residual, *gamma, *beta;
  int64_t N, C;
  float epsilon;
};

template <typename T>
struct NormBackward {
  T* dx;
  float* partials;
  const T *dout, *x, *gamma;
  const float *mean, *rstd;
  const T* dresidual;
  int64_t N, C;
};

template <bool warp_per_row, int n>
__device__ __forceinline__ void row_sum(float (&values)[n]) {
  if constexpr (warp_per_row) {
#pragma unroll
    for (int i = 0; i < n; i++) values[i] = warp_sum(values[i]);
  } else {
    block_reduce(values, Add(), 0.0f);
  }
}

// Blocks of the forward kernel that share a multiprocessor's registers: more where each has fewer loads in flight.
constexpr int forward_blocks(bool warp_per_row, int vectors) {
  return warp_per_row ? 2 : vectors == 2 ? 4 : vectors == 4 ? 2 : 1;
}

// Blocks of the backward kernel with a warp per row. Its sums and three tensors' packs, all on their way together, take
// the 168 registers per thread that three blocks leave each other, or more.
template <typename T>
constexpr int backward_blocks(int vectors) {
  return sizeof(T) == 2 && vectors == 3 ? 3 : 2;
}

// Threads beyond the end of a row read its last pack and leave it: loads without conditions go out together, and those of
// one address are one.
__device__ __forceinline__ int pack_at(int place, int packs) { return place < packs ? place : packs - 1; }

// vectors packs of n elements per thread hold a row.
template <typename T, int n, int vectors, bool centred, bool warp_per_row>
__global__ void __launch_bounds__(kNormThreads, forward_blocks(warp_per_row, vectors)) norm_forward_kernel(NormForward<T> a) {
  begin_kernel();
  const int width = warp_per_row ? kWarp : blockDim.x, place = warp_per_row ? threadIdx.x % kWarp : threadIdx.x;
  const int packs = static_cast<int>(a.C / n);
  const int rows_per_block = warp_per_row ? blockDim.x / kWarp : 1;
  const float inverse = 1.0f / static_cast<float>(a.C);
  int64_t row = static_cast<int64_t>(blockIdx.x) * rows_per_block + (warp_per_row ? threadIdx.x / kWarp : 0);
  for (; row < a.N; row += static_cast<int64_t>(gridDim.x) * rows_per_block) {
    const int64_t start = row * a.C;
    Pack<T, n> held[vectors];
    float total[1] = {0.0f};
#pragma unroll
    for (int i = 0; i < vectors; i++) held[i] = stream_load<T, n>(a.x + start + pack_at(place + i * width, packs) * n);
    if (a.residual != nullptr) {
      Pack<T, n> other[vectors];
#pragma unroll
      for (int i = 0; i < vectors; i++)
        other[i] = stream_load<T, n>(a.residual + start + pack_at(place + i * width, packs) * n);
#pragma unroll
      for (int i = 0; i < vectors; i++)
        if (place + i * width < packs) {
#pragma unroll
          for (int j = 0; j < n; j++) held[i].set(j, held[i].at(j) + other[i].at(j));
          store(a.sum + start + (place + i * width) * n, held[i]);
        }
    }
    float center = 0.0f;
    if constexpr (centred) {
#pragma unroll
      for (int i = 0; i < vectors; i++)
        if (place + i * width < packs)
#pragma unroll
          for (int j = 0; j < n; j++) total[0] += held[i].at(j);
      row_sum<warp_per_row>(total);
      center = total[0] / static_cast<float>(a.C);  // exact for a constant row, as beta wants it
    }
    float squares[1] = {0.0f};
#pragma unroll
    for (int i = 0; i < vectors; i++)
      if (place + i * width < packs)
#pragma unroll
        for (int j = 0; j < n; j++) {
          const float deviation = held[i].at(j) - center;
          squares[0] = fmaf(deviation, deviation, squares[0]);
        }
    row_sum<warp_per_row>(squares);
    const float scale = 1.0f / sqrtf(squares[0] * inverse + a.epsilon);
#pragma unroll
    for (int i = 0; i < vectors; i++)
      if (place + i * width < packs) {
        const int c = (place + i * width) * n;
        const Pack<T, n> gamma = load<n>(a.gamma + c);
        Pack<T, n> beta;
        if constexpr (centred) beta = load<n>(a.beta + c);
#pragma unroll
        for (int j = 0; j < n; j++) {
          const float normalised = (held[i].at(j) - center) * scale;
          if constexpr (centred) {
            held[i].set(j, fmaf(normalised, gamma.at(j), beta.at(j)));
          } else {
            held[i].set(j, normalised * gamma.at(j));
          }
        }
        store(a.out + start + c, held[i]);
      }
    if (place == 0) {
      if constexpr (centred) a.mean[row] = center;
      a.rstd[row] = scale;
    }
  }
}

template <typename T, bool centred>
__global__ void __launch_bounds__(kNormThreads) norm_forward_any_kernel(NormForward<T> a) {
  begin_kernel();
  const float columns = a.C == 0 ? 1.0f : static_cast<float>(a.C);  // an empty row: mean 0, variance 0
  const float inverse = 1.0f / columns;
  for (int64_t row = blockIdx.x; row < a.N; row += gridDim.x) {
    const int64_t start = row * a.C;
    const T* values = a.x + start;
    float total = 0.0f;
    if (a.residual != nullptr) {
      for (int64_t c = threadIdx.x; c < a.C; c += blockDim.x)
        a.sum[start + c] = from_float<T>(to_float(a.x[start + c]) + to_float(a.residual[start + c]));
      values = a.sum + start;  // each thread reads again only what it wrote
    }
    float center = 0.0f;
    if constexpr (centred) {
      for (int64_t c = threadIdx.x; c < a.C; c += blockDim.x) total += to_float(values[c]);
      center = block_sum(total) / columns;
    }
    float squares = 0.0f;
    for (int64_t c = threadIdx.x; c < a.C; c += blockDim.x) {
      const float deviation = to_float(values[c]) - center;
      squares = fmaf(deviation, deviation, squares);
    }
    const float scale = 1.0f / sqrtf(block_sum(squares) * inverse + a.epsilon);
    for (int64_t c = threadIdx.x; c < a.C; c += blockDim.x) {
      const float value = (to_float(values[c]) - center) * scale * to_float(a.gamma[c]);
      a.out[start + c] = from_float<T>(centred ? value + to_float(a.beta[c]) : value);
    }
    if (threadIdx.x == 0) {
      if constexpr (centred) a.mean[row] = center;
      a.rstd[row] = scale;
    }
  }
}

template <typename T, int n, int vectors, bool centred, bool warp_per_row>
__global__ void __launch_bounds__(warp_per_row ? kWarpRowThreads : kNormBackwardThreads,
                                  warp_per_row ? backward_blocks<T>(vectors) : 1)
    norm_backward_kernel(NormBackward<T> a) {
  begin_kernel();
  const int width = warp_per_row ? kWarp : blockDim.x, place = warp_per_row ? threadIdx.x % kWarp : threadIdx.x;
  const int packs = static_cast<int>(a.C / n);
  const int rows_per_block = warp_per_row ? blockDim.x / kWarp : 1, mine = warp_per_row ? threadIdx.x / kWarp : 0;
  const float inverse = 1.0f / static_cast<float>(a.C);
  const auto within = [&](int i) { return place + i * width < packs; };
  const auto column = [&](int i) { return pack_at(place + i * width, packs) * n; };
  float dgamma[vectors * n] = {}, dbeta[centred ? vectors * n : 1] = {};
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * rows_per_block + mine; row < a.N;
       row += static_cast<int64_t>(gridDim.x) * rows_per_block) {
    const int64_t start = row * a.C;
    const float center = centred ? a.mean[row] : 0.0f, scale = a.rstd[row];
    Pack<T, n> upstream[vectors], x[vectors];
#pragma unroll
    for (int i = 0; i < vectors; i++) {
      upstream[i] = stream_load<T, n>(a.dout + start + column(i));
      x[i] = stream_load<T, n>(a.x + start + column(i));
    }
    // Where registers have room for the other gradient it comes with the rest: after the sums, pack by pack, it would be
    // waited for once more each time.
    constexpr bool early = warp_per_row || vectors == 1;
    Pack<T, n> other[early ? vectors : 1];
    const bool more = a.dresidual != nullptr;
    if (early && more)
#pragma unroll
      for (int i = 0; i < vectors; i++) other[i] = stream_load<T, n>(a.dresidual + start + column(i));
    float sums[2] = {0.0f, 0.0f};  // of g and of g x^
#pragma unroll
    for (int i = 0; i < vectors; i++)
      if (within(i)) {
        const Pack<T, n> gamma = load<n>(a.gamma + (place + i * width) * n);
#pragma unroll
        for (int j = 0; j < n; j++) {
          const float normalised = (x[i].at(j) - center) * scale, d = upstream[i].at(j), g = d * gamma.at(j);
          if constexpr (centred) sums[0] += g;
          sums[1] = fmaf(g, normalised, sums[1]);
          dgamma[i * n + j] = fmaf(d, normalised, dgamma[i * n + j]);
          if constexpr (centred) dbeta[i * n + j] += d;
        }
      }
    row_sum<warp_per_row>(sums);
    const float mean_g = sums[0] * inverse, mean_gx = sums[1] * inverse;
#pragma unroll
    for (int i = 0; i < vectors; i++)
      if (within(i)) {
        const int c = (place + i * width) * n;
        const Pack<T, n> gamma = load<n>(a.gamma + c);
        if (!early && more) other[0] = stream_load<T, n>(a.dresidual + start + c);
        Pack<T, n> result;
#pragma unroll
        for (int j = 0; j < n; j++) {
          const float normalised = (x[i].at(j) - center) * scale;
          float value = scale * (upstream[i].at(j) * gamma.at(j) - mean_g - normalised * mean_gx);
          if (more) value += other[early ? i : 0].at(j);
          result.set(j, value);
        }
        store(a.dx + start + c, result);
      }
  }
  float* partial = a.partials + static_cast<int64_t>(blockIdx.x) * (centred ? 2 : 1) * a.C;
  if constexpr (warp_per_row) {
    // The warps of the block add their sums one after another.
    constexpr int kColumns = vectors * kWarp * n;
    LICORNE_SHARED(float, totals, [(centred ? 2 : 1) * kColumns]);
    for (int turn = 0; turn < rows_per_block; turn++) {
      if (turn == mine)
#pragma unroll
        for (int i = 0; i < vectors; i++)
          if (within(i))
#pragma unroll
            for (int j = 0; j < n; j++) {
              const int c = (place + i * width) * n + j;
              totals[c] = dgamma[i * n + j] + (turn == 0 ? 0.0f : totals[c]);
              if constexpr (centred) {
                float& total = totals[kColumns + c];
                total = dbeta[i * n + j] + (turn == 0 ? 0.0f : total);
              }
            }
      __syncthreads();  // before the next warp adds to what this one wrote
    }
    for (int c = threadIdx.x; c < a.C; c += blockDim.x) {
      partial[c] = totals[c];
      if constexpr (centred) partial[a.C + c] = totals[kColumns + c];
    }
  } else {
#pragma unroll
    for (int i = 0; i < vectors; i++)
      if (within(i))
#pragma unroll
        for (int j = 0; j < n; j++) {
          const int c = (place + i * width) * n + j;
          partial[c] = dgamma[i * n + j];
          if constexpr (centred) partial[a.C + c] = dbeta[i * n + j];
        }
  }
}

template <typename T, bool centred>
__global__ void __launch_bounds__(kNormThreads) norm_backward_any_kernel(NormBackward<T> a) {
  begin_kernel();
  const float inverse = 1.0f / static_cast<float>(a.C);
  float* partial = a.partials + static_cast<int64_t>(blockIdx.x) * (centred ? 2 : 1) * a.C;
  // A column belongs to one thread from here to the end.
  for (int64_t c = threadIdx.x; c < a.C; c += blockDim.x) {
    partial[c] = 0.0f;
    if constexpr (centred) partial[a.C + c] = 0.0f;
  }
  for (int64_t row = blockIdx.x; row < a.N; row += gridDim.x) {
    const int64_t start = row * a.C;
    const float center = centred ? a.mean[row] : 0.0f, scale = a.rstd[row];
    float sums[2] = {0.0f, 0.0f};
    for (int64_t c = threadIdx.x; c < a.C; c += blockDim.x) {
      const float normalised = (to_float(a.x[start + c]) - center) * scale, d = to_float(a.dout[start + c]);
      const float g = d * to_float(a.gamma[c]);
      if constexpr (centred) sums[0] += g;
      sums[1] = fmaf(g, normalised, sums[1]);
      partial[c] = fmaf(d, normalised, partial[c]);
      if constexpr (centred) partial[a.C + c] += d;
    }
    block_reduce(sums, Add(), 0.0f);
    const float mean_g = sums[0] * inverse, mean_gx = sums[1] * inverse;
    for (int64_t c = threadIdx.x; c < a.C; c += blockDim.x) {
      const float normalised = (to_float(a.x[start + c]) - center) * scale;
      float value = scale * (to_float(a.dout[start + c]) * to_float(a.gamma[c]) - mean_g - normalised * mean_gx);
      if (a.dresidual != nullptr) value += to_float(a.dresidual[start + c]);
      a.dx[start + c] = from_float<T>(value);
    }
  }
}

inline int threads_for(int64_t packs, int most) {
  const int64_t threads = ceil_div(packs > 0 ? packs : 1, kWarp) * kWarp;
  return static_cast<int>(threads < most ? threads : most);
}

template <bool centred, typename T>
void norm_forward(const NormForward<T>& a, void* stream) {
  if (a.N == 0) return;
  constexpr int n = kVector<T>;
  const int64_t packs = a.C / n;
  const bool whole = a.C > 0 && a.C % n == 0 && aligned16(a.out, a.sum, a.x, a.residual, a.gamma, a.beta);
  const auto warp_per_row = [&](auto vectors) {
    launch(norm_forward_kernel<T, n, decltype(vectors)::value, centred, true>, grid_of(a.N, kNormThreads / kWarp), kNormThreads,
           0, stream, a);
  };
  const auto block_per_row = [&](auto vectors) {
    launch(norm_forward_kernel<T, n, decltype(vectors)::value, centred, false>, grid_of(a.N, 1),
           threads_for(ceil_div(packs, vectors.value), kNormThreads), 0, stream, a);
  };
  using Sizes = NormSizes<T>;
  if (whole && with_size(typename Sizes::ForwardWarp(), ceil_div(packs, kWarp), warp_per_row)) return;
  if (whole && with_size(typename Sizes::ForwardBlock(), ceil_div(packs, kNormThreads), block_per_row)) return;
  launch(norm_forward_any_kernel<T, centred>, grid_of(a.N, 1), threads_for(a.C, kNormThreads), 0, stream, a);
}

inline int64_t norm_backward_workspace_bytes(int64_t N, int64_t C, bool centred) {
  const int64_t blocks = static_cast<int64_t>(multiprocessors()) * kBlocksPerMultiprocessor;
  return (N < blocks ? N : blocks) * (centred ? 2 : 1) * C * static_cast<int64_t>(sizeof(float));
}

template <bool centred, typename T>
void norm_backward(const NormBackward<T>& a, float* dgamma, float* dbeta, void* stream) {
  if (a.N == 0 || a.C == 0) return;
  constexpr int n = kVector<T>;
  const int64_t packs = a.C / n;
  const bool whole = a.C % n == 0 && aligned16(a.dx, a.dout, a.x, a.gamma, a.dresidual);
  // Rows at a time per block and blocks per multiprocessor, by what the kernel's registers let run together.
  unsigned grid = 0;
  const auto fit_grid = [&](int rows, int per_multiprocessor) {
    const int64_t wanted = ceil_div(a.N, rows), most = static_cast<int64_t>(multiprocessors()) * per_multiprocessor;
    grid = static_cast<unsigned>(wanted < most ? wanted : most);
  };
  const auto warp_per_row = [&](auto vectors) {
    constexpr int size = decltype(vectors)::value;
    fit_grid(kWarpRowThreads / kWarp, backward_blocks<T>(size));
    launch(norm_backward_kernel<T, n, size, centred, true>, grid, kWarpRowThreads, 0, stream, a);
  };
  const auto block_per_row = [&](auto vectors) {
    constexpr int size = decltype(vectors)::value;
    const int threads = threads_for(ceil_div(packs, size), kNormBackwardThreads);
    fit_grid(1, size > 1 ? 1 : threads <= 256 ? 4 : 2);
    launch(norm_backward_kernel<T, n, size, centred, false>, grid, threads, 0, stream, a);
  };
  using Sizes = NormSizes<T>;
  if (!whole || !(with_size(typename Sizes::BackwardWarp(), ceil_div(packs, kWarp), warp_per_row) ||
                  with_size(typename Sizes::BackwardBlock(), ceil_div(packs, kNormBackwardThreads), block_per_row))) {
    fit_grid(1, kBlocksPerMultiprocessor);
    launch(norm_backward_any_kernel<T, centred>, grid, threads_for(a.C, kNormThreads), 0, stream, a);
  }
  add_partials(dgamma, dbeta, a.partials, grid, a.C, stream);
}

}  // namespace
}  // namespace licorne
