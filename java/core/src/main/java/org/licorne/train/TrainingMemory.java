package org.licorne.train;

import java.util.Locale;
import java.util.function.LongUnaryOperator;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.model.GptConfig;
import org.licorne.model.MemoryNeeds;

/** Whether a backend has the memory that a training run will take. */
public final class TrainingMemory {
    private TrainingMemory() {}

    /**
     * Says at once, before a model is made, if training it would not fit.
     *
     * @throws OutOfDeviceMemoryException with what is needed and what to change
     */
    public static void require(Backend backend, GptConfig model, TrainerConfig config) {
        require(backend, model, config, 0);
    }

    /** @param heldBytes what of it is allocated already */
    static void require(Backend backend, GptConfig model, TrainerConfig config, long heldBytes) {
        int T = config.sequenceLength() == 0 ? model.contextLength() : config.sequenceLength();
        long available = backend.availableBytes();
        Precision precision = config.precision() == null ? backend.preferredPrecision() : config.precision();
        Kernels kernels = backend.kernels(precision);
        LongUnaryOperator needed = batch ->
                MemoryNeeds.toTrain(model, kernels, (int) batch, T, config.logitsBytes(), config.recomputation())
                                .total()
                        - heldBytes;
        int asked = config.batchSize();
        if (needed.applyAsLong(asked) <= available) {
            return;
        }
        int batch = asked;
        while (batch > 1 && needed.applyAsLong(batch) > available) {
            batch /= 2;
        }
        String remedy = needed.applyAsLong(batch) <= available
                ? String.format(
                        Locale.ROOT,
                        "a batch of %d, accumulated %d times, would do with %,d MiB",
                        batch,
                        config.accumulation() * ((asked + batch - 1) / batch),
                        needed.applyAsLong(batch) >> 20)
                : "take a smaller model or a shorter context, recompute activations, or free some memory";
        throw OutOfDeviceMemoryException.foreseen(
                "training with a batch of " + asked + " sequences of " + T + " tokens",
                needed.applyAsLong(asked),
                available,
                remedy);
    }
}
