package org.licorne.model;

import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.nn.Parameters;
import org.licorne.nn.Recomputation;
import org.licorne.tensor.DType;

/**
 * Memory that a model will take, in bytes, computed by running its layout without allocating.
 *
 * @param parameters the weights, and where activations are not F32 the copy that ops read
 * @param gradients their gradients
 * @param optimiser AdamW's two moments
 * @param activations everything planned for the batch: activations, logits, scratch, workspace, caches
 */
public record MemoryNeeds(long parameters, long gradients, long optimiser, long activations) {
    /** To train with batches of B sequences of T tokens, without the workspace that a backend may want. */
    public static MemoryNeeds toTrain(GptConfig config, int B, int T) {
        return toTrain(config, null, B, T, TrainingPass.PREFERRED_LOGITS_BYTES, TrainingPass.DEFAULT_RECOMPUTATION);
    }

    /**
     * To train with batches of B sequences of T tokens.
     *
     * @param kernels says how much workspace its ops want; null for none
     * @param logitsBytes limit for the logits of one chunk of rows; 0: what the kernels prefer
     * @param recomputation what is not kept of the forward pass
     */
    public static MemoryNeeds toTrain(
            GptConfig config, Kernels kernels, int B, int T, long logitsBytes, Recomputation recomputation) {
        long slab = new GptLayers(config).parameters().bytes();
        return new MemoryNeeds(
                slab + new GptLayers(config).parameters().copyBytes(kernels),
                slab,
                2 * slab,
                TrainingPass.bytes(config, kernels, B, T, true, logitsBytes, recomputation)
                        + backwardOwnBytes(config, kernels, (long) B * T));
    }

    /** What a backend takes by itself in the first backward pass; what it outgrows on the way stays taken. */
    private static long backwardOwnBytes(GptConfig config, Kernels kernels, long N) {
        long C = config.channels();
        long total = 0;
        long held = 0;
        for (long OC : new long[] {C, config.hiddenChannels(), C, 3 * C}) { // a block's linear maps, the last one first
            long wanted = kernels == null ? 0 : kernels.linearBackwardWeightOwnBytes(N, OC);
            if (wanted > held) {
                total += wanted;
                held = wanted;
            }
        }
        return total;
    }

    /** To write B texts of S tokens each at once, with weights, keys and values in F32. */
    public static MemoryNeeds toRun(GptConfig config, int B, int S) {
        return toRun(config, DType.F32, null, B, S, DType.F32);
    }

    /**
     * To write B texts of S tokens each at once.
     *
     * @param weights what matrices are stored in: F32, or of a quantised model BF16, Q8 or Q4
     * @param kernels what ops read and want; null for F32 without workspace
     * @param cacheType what keys and values are cached in, F32 or BF16
     */
    public static MemoryNeeds toRun(GptConfig config, DType weights, Kernels kernels, int B, int S, DType cacheType) {
        Parameters parameters = new GptLayers(config, weights).parameters();
        return new MemoryNeeds(
                parameters.bytes() + parameters.matrixBytes(kernels) + parameters.copyBytes(kernels),
                0,
                0,
                DecodingPass.bytes(config, kernels, B, S, cacheType));
    }

    /** @throws OutOfDeviceMemoryException with both numbers if a backend has not so much left */
    static void require(Backend backend, String what, long bytes, String remedy) {
        long available = backend.availableBytes();
        if (bytes > available) {
            throw OutOfDeviceMemoryException.foreseen(what, bytes, available, remedy);
        }
    }

    public long total() {
        return parameters + gradients + optimiser + activations;
    }
}
