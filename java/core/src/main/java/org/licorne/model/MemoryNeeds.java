package org.licorne.model;

import org.licorne.backend.Kernels;
import org.licorne.nn.Recomputation;
import org.licorne.nn.Slab;
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
        long copy = slab * Slab.activationsOf(kernels).bytes() / Float.BYTES; // the rounded weights that ops read
        return new MemoryNeeds(
                Slab.activationsOf(kernels) == DType.F32 ? slab : slab + copy,
                slab,
                2 * slab,
                TrainingPass.bytes(config, kernels, B, T, true, logitsBytes, recomputation));
    }

    /** To write B texts of S tokens each at once, with keys and values cached in F32. */
    public static MemoryNeeds toRun(GptConfig config, int B, int S) {
        long slab = new GptLayers(config).parameters().bytes();
        return new MemoryNeeds(slab, 0, 0, DecodingPass.bytes(config, null, B, S, DType.F32));
    }

    public long total() {
        return parameters + gradients + optimiser + activations;
    }
}
