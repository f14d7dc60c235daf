// How the copy engine of Hopper finds a head's rows in our tensors.
#pragma once

#include "cuda/hopper.h"
#include "cuda/launch.h"
#include "ops/attention/attention_cuda.h"

namespace licorne {

#if defined(LICORNE_CUDA_EMULATION)

inline CUtensorMap map_of(const void* tensor, const AttentionArguments& p, int tokens, int heads, int64_t token_stride,
                          int64_t batch_stride, int rows) {
  if (p.B == 1) batch_stride = token_stride;  // it may be 0, which the engine does not take, and is not needed
  const CUtensorMap map{static_cast<const char*>(tensor), {p.D, heads, tokens, p.B},
                        {2, 2 * p.D, 2 * token_stride, 2 * batch_stride}, {64, 1, rows, 1}};
  check_map(map);
  return map;
}

#else

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

// From the driver, so that nothing links it.
inline EncodeTiled encode_tiled() {
  static const EncodeTiled function = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
    check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result),
               "cuTensorMapEncodeTiled");
    if (result != cudaDriverEntryPointSuccess)
      throw Error(LICORNE_UNSUPPORTED, "attention: the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<EncodeTiled>(found);
  }();
  return function;
}

// Boxes of `rows` tokens by 64 elements of one head, out of (batch, tokens, heads, D).
inline CUtensorMap map_of(const void* tensor, const AttentionArguments& p, int tokens, int heads, int64_t token_stride,
                          int64_t batch_stride, int rows) {
  if (p.B == 1) batch_stride = token_stride;  // it may be 0, which the engine does not take, and is not needed
  CUtensorMap map;
  const cuuint64_t sizes[4] = {static_cast<cuuint64_t>(p.D), static_cast<cuuint64_t>(heads),
                               static_cast<cuuint64_t>(tokens), static_cast<cuuint64_t>(p.B)};
  const cuuint64_t strides[3] = {static_cast<cuuint64_t>(p.D) * 2, static_cast<cuuint64_t>(token_stride) * 2,
                                 static_cast<cuuint64_t>(batch_stride) * 2};
  const cuuint32_t box[4] = {64, 1, static_cast<cuuint32_t>(rows), 1}, steps[4] = {1, 1, 1, 1};
  const CUresult result = encode_tiled()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<void*>(tensor), sizes,
                                         strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                         CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw Error(LICORNE_DEVICE_ERROR, "attention: cuTensorMapEncodeTiled returned %d", static_cast<int>(result));
  return map;
}

#endif

}  // namespace licorne
