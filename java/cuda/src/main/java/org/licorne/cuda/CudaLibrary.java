package org.licorne.cuda;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Platform;

/**
 * The C ABI of the CUDA kernels, one declaration per function of {@code native/include/licorne}. Memory is passed as
 * addresses: no Pointer object exists per tensor or call. The build compiles this class against the headers, so a
 * declaration that disagrees with them does not build. On a GPU, CUDA's runtime library must have been loaded before.
 */
@Platform(
        include = {
            "licorne/status.h",
            "licorne/cuda.h",
            "licorne/memory.h",
            "licorne/embedding.h",
            "licorne/layer_norm.h",
            "licorne/rms_norm.h",
            "licorne/linear.h",
            "licorne/quantize.h",
            "licorne/quantized_linear.h",
            "licorne/quantized_embedding.h",
            "licorne/attention.h",
            "licorne/attention_decode.h",
            "licorne/key_value_append.h",
            "licorne/gelu.h",
            "licorne/swiglu.h",
            "licorne/softmax.h",
            "licorne/cross_entropy.h",
            "licorne/sample.h",
            "licorne/global_norm.h",
            "licorne/adamw.h"
        },
        link = "licorne_cuda")
final class CudaLibrary {
    /** What the C header calls LICORNE_VERSION; loading refuses a library of another version. */
    static final String VERSION = "0.1.0";

    static {
        Loader.load(CudaLibrary.class);
    }

    private CudaLibrary() {}

    static native @Cast("const char*") BytePointer licorne_version();

    static native @Cast("const char*") BytePointer licorne_error_message();

    static native int licorne_cuda_check_fault(@Cast("int32_t*") long fault);

    static native @Cast("const char*") BytePointer licorne_cuda_sticky_error();

    static native void licorne_cuda_overlap_kernels(int on);

    static native int licorne_cuda_fill(
            @Cast("void*") long out, long count, float value, int type, @Cast("void*") long stream);

    static native int licorne_cuda_fill_i32(
            @Cast("int32_t*") long out, long count, int value, @Cast("void*") long stream);

    static native int licorne_cuda_add_i32(
            @Cast("int32_t*") long out, @Cast("const int32_t*") long x, @Cast("const int32_t*") long y, long count,
            @Cast("void*") long stream);

    static native int licorne_cuda_copy(
            @Cast("void*") long out, @Cast("const void*") long x, long bytes, @Cast("void*") long stream);

    static native int licorne_cuda_convert(
            @Cast("void*") long out, @Cast("const void*") long x, long count, int outType, int type,
            @Cast("void*") long stream);

    static native int licorne_cuda_embedding_forward(
            @Cast("void*") long out, @Cast("const void*") long tokenTable, @Cast("const void*") long positionTable,
            @Cast("const int32_t*") long tokens, @Cast("const int32_t*") long positions, long N, long C, long Vp,
            long P, @Cast("int32_t*") long fault, int type, @Cast("void*") long stream);

    static native int licorne_cuda_embedding_backward(
            @Cast("float*") long dtokenTable, @Cast("float*") long dpositionTable, @Cast("const void*") long dout,
            @Cast("const int32_t*") long tokens, @Cast("const int32_t*") long positions, long N, long C, long Vp,
            long P, @Cast("int32_t*") long fault, int type, @Cast("void*") long stream);

    static native int licorne_cuda_layer_norm_forward(
            @Cast("void*") long out, @Cast("void*") long sum, @Cast("float*") long mean, @Cast("float*") long rstd,
            @Cast("const void*") long x, @Cast("const void*") long residual, @Cast("const void*") long gamma,
            @Cast("const void*") long beta, long N, long C, float epsilon, int type, @Cast("void*") long stream);

    static native int licorne_cuda_layer_norm_backward(
            @Cast("void*") long dx, @Cast("float*") long dgamma, @Cast("float*") long dbeta,
            @Cast("const void*") long dout, @Cast("const void*") long x, @Cast("const void*") long gamma,
            @Cast("const float*") long mean, @Cast("const float*") long rstd, @Cast("const void*") long dresidual,
            @Cast("void*") long workspace, long N, long C, int type, @Cast("void*") long stream);

    static native long licorne_cuda_layer_norm_backward_workspace_bytes(long N, long C);

    static native int licorne_cuda_rms_norm_forward(
            @Cast("void*") long out, @Cast("void*") long sum, @Cast("float*") long rstd, @Cast("const void*") long x,
            @Cast("const void*") long residual, @Cast("const void*") long gamma, long N, long C, float epsilon,
            int type, @Cast("void*") long stream);

    static native int licorne_cuda_rms_norm_backward(
            @Cast("void*") long dx, @Cast("float*") long dgamma, @Cast("const void*") long dout,
            @Cast("const void*") long x, @Cast("const void*") long gamma, @Cast("const float*") long rstd,
            @Cast("const void*") long dresidual, @Cast("void*") long workspace, long N, long C, int type,
            @Cast("void*") long stream);

    static native long licorne_cuda_rms_norm_backward_workspace_bytes(long N, long C);

    static native int licorne_cuda_linear_forward(
            @Cast("void*") long out,
            @Cast("const void*") long x,
            @Cast("const void*") long weight,
            @Cast("const void*") long bias,
            long N,
            long C,
            long OC,
            int gelu,
            int type,
            @Cast("void*") long stream);

    static native long licorne_cuda_linear_few_rows();

    static native int licorne_cuda_linear_backward_bias(
            @Cast("float*") long dbias, @Cast("const void*") long dout, @Cast("void*") long workspace, long N, long OC,
            int type, @Cast("void*") long stream);

    static native long licorne_cuda_linear_backward_bias_workspace_bytes(long N, long OC);

    static native int licorne_cuda_quantize(
            @Cast("void*") long out, @Cast("const float*") long x, long OC, long C, int weightType,
            @Cast("void*") long stream);

    static native int licorne_cuda_quantized_linear_forward(
            @Cast("void*") long out, @Cast("const void*") long x, @Cast("const void*") long weight,
            @Cast("const void*") long bias, @Cast("void*") long workspace, long N, long C, long OC, int gelu,
            int weightType, int type, @Cast("void*") long stream);

    static native long licorne_cuda_quantized_linear_forward_workspace_bytes(long N, long C, long OC, int weightType);

    static native int licorne_cuda_quantized_embedding_forward(
            @Cast("void*") long out, @Cast("const void*") long tokenTable, @Cast("const void*") long positionTable,
            @Cast("const int32_t*") long tokens, @Cast("const int32_t*") long positions, long N, long C, long Vp,
            long P, int weightType, @Cast("int32_t*") long fault, int type, @Cast("void*") long stream);

    static native int licorne_cuda_attention_forward(
            @Cast("void*") long out, @Cast("float*") long lse, @Cast("const void*") long q, @Cast("const void*") long k,
            @Cast("const void*") long v, @Cast("void*") long workspace, long B, long T, long S, long H, long G, long D,
            long queryTokenStride, long queryBatchStride, long keyTokenStride, long keyBatchStride, long outTokenStride,
            long outBatchStride, int maskKind, long windowLeft, long windowRight,
            @Cast("const int32_t*") long prefixLengths, @Cast("const int32_t*") long queryLengths,
            @Cast("const int32_t*") long keyLengths, @Cast("const int32_t*") long documents, float scale, int type,
            @Cast("int32_t*") long fault, @Cast("void*") long stream);

    static native long licorne_cuda_attention_forward_workspace_bytes(long B, long T, long S, long H, long G, long D);

    static native void licorne_cuda_attention_use_hopper(int on);

    static native int licorne_cuda_attention_backward(
            @Cast("void*") long dq, @Cast("void*") long dk, @Cast("void*") long dv, @Cast("const void*") long dout,
            @Cast("const void*") long out, @Cast("const float*") long lse, @Cast("const void*") long q,
            @Cast("const void*") long k, @Cast("const void*") long v, @Cast("void*") long workspace, long B, long T,
            long S, long H, long G, long D, long queryTokenStride, long queryBatchStride, long keyTokenStride,
            long keyBatchStride, long outTokenStride, long outBatchStride, int maskKind, long windowLeft,
            long windowRight, @Cast("const int32_t*") long prefixLengths, @Cast("const int32_t*") long queryLengths,
            @Cast("const int32_t*") long keyLengths, @Cast("const int32_t*") long documents, float scale, int type,
            @Cast("int32_t*") long fault, @Cast("void*") long stream);

    static native long licorne_cuda_attention_backward_workspace_bytes(long B, long T, long S, long H, long G, long D);

    static native int licorne_cuda_attention_decode(
            @Cast("void*") long out, @Cast("const void*") long q, @Cast("void*") long k, @Cast("void*") long v,
            @Cast("const void*") long newK, @Cast("const void*") long newV, @Cast("const int32_t*") long keyLengths,
            @Cast("void*") long workspace, long B, long S, long H, long G, long D, long queryBatchStride,
            long keyTokenStride, long keyBatchStride, long outBatchStride, float scale, int type, int cacheType,
            @Cast("int32_t*") long fault, @Cast("void*") long stream);

    static native long licorne_cuda_attention_decode_workspace_bytes(long B, long S, long H, long G, long D);

    static native int licorne_cuda_key_value_append(
            @Cast("void*") long keyCache, @Cast("void*") long valueCache, @Cast("const void*") long k,
            @Cast("const void*") long v, @Cast("const int32_t*") long positions, long B, long T, long S, long W,
            long rowStride, int type, int cacheType, @Cast("int32_t*") long fault, @Cast("void*") long stream);

    static native int licorne_cuda_gelu_forward(
            @Cast("void*") long out, @Cast("const void*") long x, long count, int type, @Cast("void*") long stream);

    static native int licorne_cuda_gelu_backward(
            @Cast("void*") long dx, @Cast("const void*") long dout, @Cast("const void*") long x, long count, int type,
            @Cast("void*") long stream);

    static native int licorne_cuda_swiglu_forward(
            @Cast("void*") long out, @Cast("const void*") long x, long N, long F, int type, @Cast("void*") long stream);

    static native int licorne_cuda_swiglu_backward(
            @Cast("void*") long dx, @Cast("const void*") long dout, @Cast("const void*") long x, long N, long F,
            int type, @Cast("void*") long stream);

    static native int licorne_cuda_softmax_forward(
            @Cast("void*") long out, @Cast("const void*") long x, long N, long V, long Vp, int type,
            @Cast("void*") long stream);

    static native int licorne_cuda_softmax_backward(
            @Cast("void*") long dx, @Cast("const void*") long dout, @Cast("const void*") long out, long N, long V,
            long Vp, int type, @Cast("void*") long stream);

    static native int licorne_cuda_cross_entropy_forward(
            @Cast("float*") long losses, @Cast("const void*") long logits, @Cast("const int32_t*") long targets, long N,
            long V, long Vp, float labelSmoothing, float zLoss, @Cast("int32_t*") long fault, int type,
            @Cast("void*") long stream);

    static native int licorne_cuda_cross_entropy_backward(
            @Cast("float*") long losses, @Cast("void*") long dlogits, @Cast("const void*") long logits,
            @Cast("const int32_t*") long targets, long N, long V, long Vp, float scale, float labelSmoothing,
            float zLoss, @Cast("int32_t*") long fault, int type, @Cast("void*") long stream);

    static native int licorne_cuda_sample(
            @Cast("int32_t*") long tokens, @Cast("const void*") long logits, @Cast("const int32_t*") long streams,
            @Cast("const int32_t*") long positions, @Cast("void*") long workspace, long B, long V, long Vp,
            double temperature, long topK, double topP, long seed, int type, @Cast("int32_t*") long fault,
            @Cast("void*") long stream);

    static native long licorne_cuda_sample_workspace_bytes(long B);

    static native int licorne_cuda_global_norm(
            @Cast("float*") long out, @Cast("const float*") long x, @Cast("void*") long workspace, long count,
            @Cast("void*") long stream);

    static native long licorne_cuda_global_norm_workspace_bytes(long count);

    static native int licorne_cuda_adamw(
            @Cast("float*") long parameters, @Cast("void*") long weights, @Cast("float*") long m,
            @Cast("float*") long v, @Cast("const float*") long gradients, @Cast("const float*") long norm, long count,
            float learningRate, float beta1, float beta2, float epsilon, float weightDecay, float maxNorm,
            float largestNorm, long step, @Cast("void*") long stream);
}
