package org.licorne.train;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.licorne.checkpoint.CheckpointStore;
import org.licorne.checkpoint.TrainingCheckpoint;
import org.licorne.checkpoint.TrainingState;
import org.licorne.model.Gpt;
import org.licorne.nn.Parameter;
import org.licorne.tensor.Tensor;

/** A run's checkpoints: where they are, and what of model and optimiser is in them. Closed by the trainer. */
final class RunCheckpoints implements AutoCloseable {
    private final CheckpointStore store;
    private final Gpt gpt;
    private final AdamW optimiser;

    /** Takes the output directory, in which no other run may write meanwhile. */
    RunCheckpoints(TrainerConfig config, Gpt gpt, AdamW optimiser) {
        this.gpt = gpt;
        this.optimiser = optimiser;
        store = CheckpointStore.open(config.output().resolve(CheckpointStore.DIRECTORY_NAME), config.keepCheckpoints());
    }

    Optional<TrainingCheckpoint> latest() {
        return store.latest();
    }

    /** Whoever starts at the beginning may not write among the checkpoints of an earlier run. */
    void requireNone() {
        latest().ifPresent(checkpoint -> {
            throw new IllegalStateException(store.directory() + " holds checkpoints of an earlier run (step "
                    + checkpoint.step() + "); resume it, or start in another directory");
        });
    }

    void clear() {
        store.clear();
    }

    /** Puts what a checkpoint holds into model and optimiser. */
    void restore(TrainingCheckpoint checkpoint) {
        checkpoint.restore(tensors());
        gpt.weightsChanged();
    }

    /** The same with the one of the lowest validation loss. @return false if there is none */
    boolean restoreBest() {
        Optional<TrainingCheckpoint> best = TrainingCheckpoint.best(store.directory());
        best.ifPresent(this::restore);
        return best.isPresent();
    }

    /** @return where it was written */
    Path save(TrainingState state) {
        return store.save(state, tensors()).directory();
    }

    private Map<String, Tensor> tensors() {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Parameter parameter : gpt.parameters()) {
            tensors.put(parameter.name(), parameter.tensor());
        }
        tensors.putAll(optimiser.moments());
        return tensors;
    }

    @Override
    public void close() {
        store.close();
    }
}
