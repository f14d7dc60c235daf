// What attention's CUDA units share: the arguments of every kernel, and the functions that launch them. Plain C++, so that
// checks and dispatch need no CUDA types.
#pragma once

#include <cstdint>

namespace licorne {

// The mask as kernels read it. With documents, low and high (B,T) hold every query's interval of keys; without, they are
// null and the interval is computed where it is needed.
struct CudaMask {
  int32_t kind;
  int32_t window_left, window_right;
  const int32_t* prefix_lengths;
  const int32_t* query_lengths;
  const int32_t* key_lengths;
  const int32_t* low;
  const int32_t* high;
};

// Strides are in elements of the activations' type. Forward: out, lse from q, k, v. Backward: dq, dk, dv from the rest.
struct AttentionArguments {
  void* out;              // (B,T,H,D), read by the backward kernels
  float* lse;             // (B,H,T), natural logarithm
  const void* q;          // (B,T,H,D)
  const void* k;          // (B,S,G,D)
  const void* v;          // (B,S,G,D)
  void* dq;
  void* dk;
  void* dv;
  const void* dout;
  float* delta;           // (B,H,T), sum of dout * out: written by the kernel of dq, read by that of dk and dv; Hopper's
                          // kernels keep more there, see theirs
  int32_t B, T, S, H, G, D;
  int64_t query_token_stride, query_batch_stride;
  int64_t key_token_stride, key_batch_stride;
  int64_t out_token_stride, out_batch_stride;
  float scale;
  bool vectors;           // every head's first element lies at a multiple of 16 bytes and D fills whole vectors
  CudaMask mask;
  int32_t* fault;
};

constexpr int kLargestCudaHead = 256;

void launch_attention_forward_bf16(const AttentionArguments& p, void* stream);
void launch_attention_forward_hopper(const AttentionArguments& p, int* drawn, void* stream);
void launch_attention_backward_hopper(const AttentionArguments& p, void* stream);
void launch_attention_forward_f32(const AttentionArguments& p, void* stream);
void launch_attention_backward_bf16(const AttentionArguments& p, void* stream);
void launch_attention_backward_f32(const AttentionArguments& p, void* stream);

}  // namespace licorne
