// Layer normalisation on the GPU: checks; the kernels and how they are mapped are in cuda/normalise.h.
#include "cuda/normalise.h"
#include "licorne/layer_norm.h"

int32_t licorne_cuda_layer_norm_forward(void* out, void* sum, float* mean, float* rstd, const void* x,
                                        const void* residual, const void* gamma, const void* beta, int64_t N, int64_t C,
                                        float epsilon, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "layer_norm_forward";
    const int64_t count = checked_elements(op, N, C);
    check_tensor(op, "out", out, count, type);
    check_tensor(op, "x", x, count, type);
    check_pointer(op, "mean", mean, N);
    check_pointer(op, "rstd", rstd, N);
    check_tensor(op, "gamma", gamma, count > 0 ? C : 0, type);
    check_tensor(op, "beta", beta, count > 0 ? C : 0, type);
    if (residual != nullptr) {
      check_tensor(op, "residual", residual, count, type);
      check_tensor(op, "sum", sum, count, type);
    }
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      norm_forward<true>(NormForward<T>{static_cast<T*>(out), static_cast<T*>(sum), mean, rstd, static_cast<const T*>(x),
                                        static_cast<const T*>(residual), static_cast<const T*>(gamma),
                                        static_cast<const T*>(beta), N, C, epsilon},
                         stream);
    });
  });
}

int64_t licorne_cuda_layer_norm_backward_workspace_bytes(int64_t N, int64_t C) {
  using namespace licorne;
  return guarded_bytes([&] { return norm_backward_workspace_bytes(N, C, true); });
}

int32_t licorne_cuda_layer_norm_backward(void* dx, float* dgamma, float* dbeta, const void* dout, const void* x,
                                         const void* gamma, const float* mean, const float* rstd, const void* dresidual,
                                         void* workspace, int64_t N, int64_t C, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "layer_norm_backward";
    const int64_t count = checked_elements(op, N, C);
    check_tensor(op, "dx", dx, count, type);
    check_tensor(op, "dout", dout, count, type);
    check_tensor(op, "x", x, count, type);
    check_pointer(op, "dgamma", dgamma, count > 0 ? C : 0);
    check_pointer(op, "dbeta", dbeta, count > 0 ? C : 0);
    check_tensor(op, "gamma", gamma, count > 0 ? C : 0, type);
    check_pointer(op, "mean", mean, N);
    check_pointer(op, "rstd", rstd, N);
    check_pointer(op, "workspace", static_cast<float*>(workspace), count);
    if (dresidual != nullptr) check_tensor(op, "dresidual", dresidual, count, type);
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      norm_backward<true>(NormBackward<T>{static_cast<T*>(dx), static_cast<float*>(workspace), static_cast<const T*>(dout),
                                          static_cast<const T*>(x), static_cast<const T*>(gamma), mean, rstd,
                                          static_cast<const T*>(dresidual), N, C},
                          dgamma, dbeta, stream);
    });
  });
}
