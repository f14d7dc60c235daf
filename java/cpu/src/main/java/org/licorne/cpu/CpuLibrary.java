package org.licorne.cpu;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Platform;

/**
 * The C ABI of the native library, one declaration per function of {@code native/include/licorne}. Memory is passed as
 * addresses: no Pointer object exists per tensor or call, and a call costs a few nanoseconds. The build compiles this
 * class against the headers, so a declaration that disagrees with them does not build.
 */
@Platform(
        include = {
            "licorne/status.h",
            "licorne/cpu.h",
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
        link = "licorne_cpu",
        // Each is needed by those after it, and a machine that only runs Java may have none. JavaCPP passes over a name
        // that the preset has no file for: some are of Linux only, some of macOS. "##": from the preset's jar only; the
        // build would otherwise copy the building machine's into ours.
        preload = {"gcc_s@.1.1##", "quadmath@.0##", "gfortran@.5##", "openblas@.0##"},
        preloadresource = "/org/bytedeco/openblas/")
final class CpuLibrary {
    /** What the C header calls LICORNE_VERSION; loading refuses a library of another version. */
    static final String VERSION = "0.1.0";

    static {
        // JavaCPP would count our slabs and mapped weights against the Java heap and call System.gc(); none of them are
        // its to free. Set before its Pointer class loads, and only if the host application has not chosen.
        for (String limit : new String[] {"maxbytes", "maxphysicalbytes"}) {
            String property = "org.bytedeco.javacpp." + limit;
            if (System.getProperty(property) == null) {
                System.setProperty(property, "0");
            }
        }
        Loader.load(CpuLibrary.class);
    }

    private CpuLibrary() {}

    static native @Cast("const char*") BytePointer licorne_version();

    static native @Cast("const char*") BytePointer licorne_error_message();

    static native int licorne_cpu_isa_supported(int isa);

    static native int licorne_cpu_set_isa(int isa);

    static native int licorne_cpu_get_isa();

    static native int licorne_cpu_set_threads(int threads);

    static native int licorne_cpu_get_threads();

    static native long licorne_cpu_allocate(long bytes);

    static native int licorne_cpu_populate(long address, long bytes);

    static native void licorne_cpu_free(long address, long bytes);

    static native long licorne_cpu_available_bytes();

    static native double licorne_cpu_probe(int kind, double seconds);

    static native int licorne_cpu_fill_f32(@Cast("float*") long out, long count, float value);

    static native int licorne_cpu_fill_i32(@Cast("int32_t*") long out, long count, int value);

    static native int licorne_cpu_add_i32(
            @Cast("int32_t*") long out, @Cast("const int32_t*") long x, @Cast("const int32_t*") long y, long count);

    static native int licorne_cpu_copy(@Cast("void*") long out, @Cast("const void*") long x, long bytes);

    static native int licorne_cpu_embedding_forward(
            @Cast("float*") long out, @Cast("const float*") long tokenTable, @Cast("const float*") long positionTable,
            @Cast("const int32_t*") long tokens, @Cast("const int32_t*") long positions, long N, long C, long Vp,
            long P);

    static native int licorne_cpu_embedding_backward(
            @Cast("float*") long dtokenTable, @Cast("float*") long dpositionTable, @Cast("const float*") long dout,
            @Cast("const int32_t*") long tokens, @Cast("const int32_t*") long positions, long N, long C, long Vp,
            long P);

    static native int licorne_cpu_layer_norm_forward(
            @Cast("float*") long out, @Cast("float*") long sum, @Cast("float*") long mean, @Cast("float*") long rstd,
            @Cast("const float*") long x, @Cast("const float*") long residual, @Cast("const float*") long gamma,
            @Cast("const float*") long beta, long N, long C, float epsilon);

    static native int licorne_cpu_layer_norm_backward(
            @Cast("float*") long dx, @Cast("float*") long dgamma, @Cast("float*") long dbeta,
            @Cast("const float*") long dout, @Cast("const float*") long x, @Cast("const float*") long gamma,
            @Cast("const float*") long mean, @Cast("const float*") long rstd, @Cast("const float*") long dresidual,
            @Cast("void*") long workspace, long N, long C);

    static native long licorne_cpu_layer_norm_backward_workspace_bytes(long N, long C);

    static native int licorne_cpu_rms_norm_forward(
            @Cast("float*") long out, @Cast("float*") long sum, @Cast("float*") long rstd,
            @Cast("const float*") long x, @Cast("const float*") long residual, @Cast("const float*") long gamma,
            long N, long C, float epsilon);

    static native int licorne_cpu_rms_norm_backward(
            @Cast("float*") long dx, @Cast("float*") long dgamma, @Cast("const float*") long dout,
            @Cast("const float*") long x, @Cast("const float*") long gamma, @Cast("const float*") long rstd,
            @Cast("const float*") long dresidual, @Cast("void*") long workspace, long N, long C);

    static native long licorne_cpu_rms_norm_backward_workspace_bytes(long N, long C);

    static native int licorne_cpu_linear_forward(
            @Cast("float*") long out, @Cast("const float*") long x, @Cast("const float*") long weight,
            @Cast("const float*") long bias, long N, long C, long OC, int precision);

    static native long licorne_cpu_linear_independent_rows();

    static native int licorne_cpu_linear_backward_input(
            @Cast("float*") long dx, @Cast("const float*") long dout, @Cast("const float*") long weight, long N, long C,
            long OC, int precision);

    static native int licorne_cpu_linear_backward_weight(
            @Cast("float*") long dweight, @Cast("float*") long dbias, @Cast("const float*") long dout,
            @Cast("const float*") long x, long N, long C, long OC, int accumulate, int precision);

    static native int licorne_cpu_quantize(
            @Cast("void*") long out, @Cast("const float*") long x, long OC, long C, int type);

    static native int licorne_cpu_quantized_linear_forward(
            @Cast("float*") long out, @Cast("const float*") long x, @Cast("const void*") long weight,
            @Cast("const float*") long bias, @Cast("void*") long workspace, long N, long C, long OC, int type,
            int precision);

    static native long licorne_cpu_quantized_linear_forward_workspace_bytes(long N, long C, long OC, int type);

    static native int licorne_cpu_quantized_embedding_forward(
            @Cast("float*") long out, @Cast("const void*") long tokenTable, @Cast("const float*") long positionTable,
            @Cast("const int32_t*") long tokens, @Cast("const int32_t*") long positions, long N, long C, long Vp,
            long P, int type);

    static native int licorne_cpu_attention_forward(
            @Cast("float*") long out, @Cast("float*") long lse, @Cast("const float*") long q,
            @Cast("const float*") long k, @Cast("const float*") long v, @Cast("void*") long workspace, long B, long T,
            long S, long H, long G, long D, long queryTokenStride, long queryBatchStride, long keyTokenStride,
            long keyBatchStride, long outTokenStride, long outBatchStride, int maskKind, long windowLeft,
            long windowRight, @Cast("const int32_t*") long prefixLengths, @Cast("const int32_t*") long queryLengths,
            @Cast("const int32_t*") long keyLengths, @Cast("const int32_t*") long documents, float scale,
            int precision);

    static native long licorne_cpu_attention_forward_workspace_bytes(long B, long T, long S, long H, long G, long D);

    static native int licorne_cpu_attention_backward(
            @Cast("float*") long dq, @Cast("float*") long dk, @Cast("float*") long dv, @Cast("const float*") long dout,
            @Cast("const float*") long out, @Cast("const float*") long lse, @Cast("const float*") long q,
            @Cast("const float*") long k, @Cast("const float*") long v, @Cast("void*") long workspace, long B, long T,
            long S, long H, long G, long D, long queryTokenStride, long queryBatchStride, long keyTokenStride,
            long keyBatchStride, long outTokenStride, long outBatchStride, int maskKind, long windowLeft,
            long windowRight, @Cast("const int32_t*") long prefixLengths, @Cast("const int32_t*") long queryLengths,
            @Cast("const int32_t*") long keyLengths, @Cast("const int32_t*") long documents, float scale,
            int precision);

    static native long licorne_cpu_attention_backward_workspace_bytes(long B, long T, long S, long H, long G, long D);

    static native int licorne_cpu_attention_decode(
            @Cast("float*") long out, @Cast("const float*") long q, @Cast("const void*") long k,
            @Cast("const void*") long v, @Cast("const int32_t*") long keyLengths, @Cast("void*") long workspace,
            long B, long S, long H, long G, long D, long queryBatchStride, long keyTokenStride, long keyBatchStride,
            long outBatchStride, float scale, int cacheType);

    static native long licorne_cpu_attention_decode_workspace_bytes(long B, long S, long H, long G, long D);

    static native int licorne_cpu_key_value_append(
            @Cast("void*") long keyCache, @Cast("void*") long valueCache, @Cast("const float*") long k,
            @Cast("const float*") long v, @Cast("const int32_t*") long positions, long B, long T, long S, long W,
            long rowStride, int cacheType);

    static native int licorne_cpu_gelu_forward(@Cast("float*") long out, @Cast("const float*") long x, long count);

    static native int licorne_cpu_gelu_backward(
            @Cast("float*") long dx, @Cast("const float*") long dout, @Cast("const float*") long x, long count);

    static native int licorne_cpu_swiglu_forward(
            @Cast("float*") long out, @Cast("const float*") long x, long N, long F);

    static native int licorne_cpu_swiglu_backward(
            @Cast("float*") long dx, @Cast("const float*") long dout, @Cast("const float*") long x, long N, long F);

    static native int licorne_cpu_softmax_forward(
            @Cast("float*") long out, @Cast("const float*") long x, long N, long V, long Vp);

    static native int licorne_cpu_softmax_backward(
            @Cast("float*") long dx, @Cast("const float*") long dout, @Cast("const float*") long out, long N, long V,
            long Vp);

    static native int licorne_cpu_cross_entropy_forward(
            @Cast("float*") long losses, @Cast("const float*") long logits, @Cast("const int32_t*") long targets,
            long N, long V, long Vp, float labelSmoothing, float zLoss);

    static native int licorne_cpu_cross_entropy_backward(
            @Cast("float*") long losses, @Cast("float*") long dlogits, @Cast("const float*") long logits,
            @Cast("const int32_t*") long targets, long N, long V, long Vp, float scale, float labelSmoothing,
            float zLoss);

    static native int licorne_cpu_sample(
            @Cast("int32_t*") long tokens, @Cast("const float*") long logits, @Cast("const int32_t*") long streams,
            @Cast("const int32_t*") long positions, @Cast("void*") long workspace, long B, long V, long Vp,
            double temperature, long topK, double topP, long seed);

    static native long licorne_cpu_sample_workspace_bytes(long B, long V);

    static native int licorne_cpu_global_norm(
            @Cast("float*") long out, @Cast("const float*") long x, @Cast("void*") long workspace, long count);

    static native long licorne_cpu_global_norm_workspace_bytes(long count);

    static native int licorne_cpu_adamw(
            @Cast("float*") long parameters, @Cast("float*") long m, @Cast("float*") long v,
            @Cast("const float*") long gradients, @Cast("const float*") long norm, long count, float learningRate,
            float beta1, float beta2, float epsilon, float weightDecay, float maxNorm, float largestNorm, long step);
}
