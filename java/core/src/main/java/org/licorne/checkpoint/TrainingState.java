package org.licorne.checkpoint;

import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/**
 * Where a training run stands, beside its tensors. Immutable.
 *
 * @param step optimiser steps done
 * @param elapsedNanos training time so far, over all resumed runs
 * @param tokensSeen tokens trained on
 * @param dataPosition the next batch of the source; with the configuration's seed it also fixes every random number
 * @param validationLoss of exactly these weights, or NaN if it was not measured
 * @param bestValidationLoss the lowest so far, or NaN
 * @param dataFingerprint of the training data
 * @param configuration of the trainer, as text
 * @param counters whatever else a trainer must find again, e.g. evaluations without progress
 */
public record TrainingState(
        long step,
        long elapsedNanos,
        long tokensSeen,
        long dataPosition,
        double validationLoss,
        double bestValidationLoss,
        String dataFingerprint,
        Map<String, String> configuration,
        Map<String, Long> counters) {
    public TrainingState {
        if (step < 0 || elapsedNanos < 0 || tokensSeen < 0 || dataPosition < 0) {
            throw new IllegalArgumentException("step, time, tokens and data position cannot be negative");
        }
        configuration = Collections.unmodifiableMap(new TreeMap<>(configuration));
        counters = Collections.unmodifiableMap(new TreeMap<>(counters));
    }
}
