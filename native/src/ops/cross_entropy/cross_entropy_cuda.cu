// Cross-entropy fused with softmax on the GPU, loss and gradient in place. A block per row, as many as run together, each for
// row after row: 512 threads copy a row into shared memory, 16 bytes at a time (cuda/row.h), so that a logit costs memory one
// read and, with a gradient, one write: 50,304 bfloat16 logits are 98 KB, two blocks per Hopper multiprocessor, of which one
// reads while the other reduces. Where two rows do not fit a multiprocessor, up to a quarter of each is read again from the
// second-level cache; where that would not do, a block has the multiprocessor alone (57,600 floats on Hopper).
// Per eight bfloat16 logits a thread issues some 12 instructions for the maximum, 48 for the sum of exponentials and 56 for
// the gradient, 16 of them exponentials, of which the multiprocessor makes 16 per clock: about two thirds of the time that
// memory takes. Probabilities are never stored. What label smoothing needs is gathered as distances from the maximum: a sum
// of large logits would lose the digits that the loss is made of.
// Vp no multiple of 16 bytes, or a pointer that is not aligned: element by element.
#include "cuda/row.h"
#include "licorne/cross_entropy.h"

namespace licorne {
namespace {

struct Scalars {
  float scale, label_smoothing, z_loss;
};

// dlogits is null for the loss alone. held: packs that shared memory has room for.
template <typename T, int n, bool smoothed>
__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    cross_entropy_kernel(float* losses, T* dlogits, const T* logits, const int32_t* targets, int64_t N, int64_t V, int64_t Vp,
                         Scalars s, int32_t* fault, int64_t held) {
  begin_kernel();
  Pack<T, n>* kept = dynamic_shared_memory<Pack<T, n>>();
  // The product that made the logits wrote the last rows last: they are still in the second-level cache.
  int64_t row = N - 1 - blockIdx.x;
  int32_t target = targets[row], next = 0;
  for (; row >= 0; row -= gridDim.x, target = next) {
    if (row >= gridDim.x) next = targets[row - gridDim.x];  // early, so that the next row need not wait for it
    const T* source = logits + row * Vp;
    T* gradient = dlogits == nullptr ? nullptr : dlogits + row * Vp;
    if (target < 0 || target >= V) {
      if (threadIdx.x == 0) {
        losses[row] = 0.0f;
        if (target != -1) report_fault(fault, kFaultCrossEntropyTargets, row, target, V);
      }
      if (gradient != nullptr)
        for (int64_t p = threadIdx.x; p < Vp / n; p += blockDim.x) stream_store(gradient + p * n, zero_pack<T, n>());
      continue;
    }
    fetch_row(kept, held, source, V);
    const float top = row_maximum(kept, held, source, V);
    // Before anyone writes over it, here or there: there are barriers below.
    const float target_logit = target / n < held ? kept[target / n].at(target % n) : to_float(source[target]);
    float sums[smoothed ? 2 : 1];
    sum_row(sums, kept, held, source, V, top);
    const float log_sum = logf(sums[0]), lse = log_sum + top;
    if (threadIdx.x == 0) {
      float loss = log_sum + (1.0f - s.label_smoothing) * (top - target_logit);
      if constexpr (smoothed) loss -= s.label_smoothing * (sums[1] / static_cast<float>(V));
      if (s.z_loss != 0.0f) loss += s.z_loss * lse * lse;
      losses[row] = loss;
    }
    if (gradient == nullptr) continue;
    const float z_factor = s.z_loss == 0.0f ? 1.0f : 1.0f + 2.0f * s.z_loss * lse;
    const float factor = s.scale * z_factor / sums[0];
    const float shared = smoothed ? s.label_smoothing / static_cast<float>(V) : 0.0f;
    const float offset = -shared * s.scale;
    const float at_target =
        (expf(target_logit - top) / sums[0] * z_factor - (1.0f - s.label_smoothing) - shared) * s.scale;
    for_packs(kept, held, source, V, [&](int p, Pack<T, n> pack, int count) {
#pragma unroll
      for (int j = 0; j < n; j++)
        pack.set(j, j < count ? fmaf(exponential<T>(pack.at(j) - top), factor, offset) : 0.0f);
      stream_store(gradient + static_cast<int64_t>(p) * n, pack);
    });
    zero_padding<T, n>(gradient, V, Vp);
    // The thread that wrote the target's pack writes the target's own gradient over it.
    if (target / n % static_cast<int>(blockDim.x) == static_cast<int>(threadIdx.x)) gradient[target] = from_float<T>(at_target);
  }
}

template <typename T>
void cross_entropy(float* losses, T* dlogits, const T* logits, const int32_t* targets, int64_t N, int64_t V, int64_t Vp,
                   Scalars scalars, int32_t* fault, void* stream) {
  with_width<T>(Vp % kVector<T> == 0 && aligned16(dlogits, logits), [&](auto width) {
    constexpr int n = decltype(width)::value;
    const RowLaunch<T, n> rows(N, V);
    rows.launch(scalars.label_smoothing == 0.0f ? cross_entropy_kernel<T, n, false> : cross_entropy_kernel<T, n, true>, stream,
                losses, dlogits, logits, targets, N, V, Vp, scalars, fault);
  });
}

void check(const char* op, const float* losses, const void* logits, const int32_t* targets, int64_t N, int64_t V,
           int64_t Vp, float label_smoothing, float z_loss, int32_t type) {
  if (!(label_smoothing >= 0.0f && label_smoothing <= 1.0f))
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: label_smoothing = %g is not a share from 0 to 1", op,
                static_cast<double>(label_smoothing));
  if (!(z_loss >= 0.0f && z_loss <= __FLT_MAX__))
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: z_loss = %g is negative or not finite", op, static_cast<double>(z_loss));
  const int64_t count = checked_elements(op, N, Vp);
  if (V < 0 || V > Vp)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: V = %lld is not within Vp = %lld", op, (long long)V, (long long)Vp);
  check_pointer(op, "losses", losses, N);
  check_tensor(op, "logits", logits, count, type);
  check_pointer(op, "targets", targets, N);
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_cross_entropy_forward(float* losses, const void* logits, const int32_t* targets, int64_t N, int64_t V,
                                           int64_t Vp, float label_smoothing, float z_loss, int32_t* fault, int32_t type,
                                           void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "cross_entropy_forward";
    check(op, losses, logits, targets, N, V, Vp, label_smoothing, z_loss, type);
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      cross_entropy<T>(losses, nullptr, static_cast<const T*>(logits), targets, N, V, Vp, {1.0f, label_smoothing, z_loss},
                       fault, stream);
    });
  });
}

int32_t licorne_cuda_cross_entropy_backward(float* losses, void* dlogits, const void* logits, const int32_t* targets,
                                            int64_t N, int64_t V, int64_t Vp, float scale, float label_smoothing,
                                            float z_loss, int32_t* fault, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "cross_entropy_backward";
    check(op, losses, logits, targets, N, V, Vp, label_smoothing, z_loss, type);
    check_tensor(op, "dlogits", dlogits, N * Vp, type);
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      cross_entropy<T>(losses, static_cast<T*>(dlogits), static_cast<const T*>(logits), targets, N, V, Vp,
                       {scale, label_smoothing, z_loss}, fault, stream);
    });
  });
}
