package org.licorne.train;

import java.util.HashMap;
import java.util.Map;
import org.licorne.checkpoint.TrainingState;

/** Where a run stands: everything beside the tensors that a checkpoint must hold. Not thread-safe. */
final class RunProgress {
    volatile long step; // may be looked at from other threads
    long batchIndex;
    long tokensSeen;
    long elapsedNanos;
    double lastLoss = Double.NaN;
    double validationLoss = Double.NaN; // of exactly these weights
    double latestValidationLoss = Double.NaN;
    double bestValidationLoss = Double.NaN;
    long evaluationsWithoutBest;

    TrainingState state(TrainerConfig config, String fingerprint, UpdateGate gate) {
        Map<String, Long> counters = new HashMap<>();
        counters.put("evaluationsWithoutBest", evaluationsWithoutBest);
        counters.put("lastLossBits", Double.doubleToRawLongBits(lastLoss));
        counters.put("latestValidationLossBits", Double.doubleToRawLongBits(latestValidationLoss));
        gate.save(counters);
        return new TrainingState(
                step,
                elapsedNanos,
                tokensSeen,
                batchIndex,
                validationLoss,
                bestValidationLoss,
                fingerprint,
                config.describe(),
                counters);
    }

    void restore(TrainingState state) {
        step = state.step();
        elapsedNanos = state.elapsedNanos();
        tokensSeen = state.tokensSeen();
        batchIndex = state.dataPosition();
        validationLoss = state.validationLoss();
        bestValidationLoss = state.bestValidationLoss();
        Map<String, Long> counters = state.counters();
        evaluationsWithoutBest = counters.getOrDefault("evaluationsWithoutBest", 0L);
        long nan = Double.doubleToRawLongBits(Double.NaN);
        lastLoss = Double.longBitsToDouble(counters.getOrDefault("lastLossBits", nan));
        latestValidationLoss = Double.longBitsToDouble(counters.getOrDefault("latestValidationLossBits", nan));
    }

    double elapsedSeconds() {
        return elapsedNanos * 1e-9;
    }
}
