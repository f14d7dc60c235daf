package org.licorne.train;

import java.util.List;
import java.util.Map;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Precision;
import org.licorne.checkpoint.TrainingCheckpoint;
import org.licorne.checkpoint.TrainingState;

/** What a run must have in common with the checkpoint it goes on from. */
final class ResumeConditions {
    private ResumeConditions() {}

    /** @throws IllegalArgumentException if the checkpoint belongs to other data, batches or another seed */
    static void check(TrainingCheckpoint checkpoint, TrainingState state, TrainerConfig config, String fingerprint) {
        if (!state.dataFingerprint().equals(fingerprint)) {
            throw new IllegalArgumentException("the checkpoint " + checkpoint
                    + " was trained on other data or in another order (" + state.dataFingerprint() + ", not "
                    + fingerprint + ")");
        }
        Map<String, String> now = config.describe();
        for (String key : List.of("batchSize", "sequenceLength", "accumulation", "seed")) {
            String before = state.configuration().get(key);
            if (!now.get(key).equals(before)) {
                throw new IllegalArgumentException(
                        "the checkpoint " + checkpoint + " was made with " + key + " " + before + ", not "
                                + now.get(key) + "; resume with the same value, or start in another directory");
            }
        }
    }

    /**
     * The precision of its steps: those of one run are computed alike. Checkpoints that do not say how are older than
     * the choice.
     *
     * @throws BackendUnavailableException if the backend lacks it
     */
    static Precision precision(
            TrainingCheckpoint checkpoint, TrainingState state, TrainerConfig config, Backend backend) {
        Precision precision = Precision.valueOf(state.configuration().getOrDefault("precision", Precision.F32.name()));
        if (precision != config.precision() && !backend.supports(precision)) {
            throw new BackendUnavailableException(
                    "the checkpoint " + checkpoint + " was made with products in " + precision
                            + ", which " + backend.device() + " lacks; ask for the precision " + config.precision()
                            + " to go on in that");
        }
        return precision;
    }
}
