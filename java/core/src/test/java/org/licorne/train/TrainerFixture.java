package org.licorne.train;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.train.TrainingListener.Evaluation;
import org.licorne.train.TrainingListener.SkippedUpdate;
import org.licorne.train.TrainingListener.StepMetrics;

/** A model, a backend, and an ear for what a {@link Trainer} tells. */
abstract class TrainerFixture {
    static final GptConfig TINY = new GptConfig(11, 8, 8, 2, 2);

    @TempDir
    Path directory;

    Backend backend;

    @BeforeEach
    void open() {
        backend = openBackend();
    }

    Backend openBackend() {
        return Backends.open("reference");
    }

    @AfterEach
    void close() {
        backend.close();
    }

    static TrainerConfig.Builder config() {
        return TrainerConfig.builder().batchSize(2).steps(12).learningRate(5e-3).evaluationBatches(2);
    }

    /** Hears everything. */
    static final class Ear implements TrainingListener {
        final List<StepMetrics> steps = new ArrayList<>();
        final List<Evaluation> evaluations = new ArrayList<>();
        final List<SkippedUpdate> skipped = new ArrayList<>();
        final List<Long> checkpoints = new ArrayList<>();
        final List<String> events = new ArrayList<>();
        TrainingResult result;

        @Override
        public void step(StepMetrics metrics) {
            steps.add(metrics);
            events.add("step " + metrics.step());
        }

        @Override
        public void evaluated(Evaluation evaluation) {
            evaluations.add(evaluation);
            events.add("evaluated " + evaluation.step());
        }

        @Override
        public void skipped(SkippedUpdate update) {
            skipped.add(update);
        }

        @Override
        public void checkpointed(long step, Path where) {
            checkpoints.add(step);
            events.add("checkpoint " + step);
        }

        @Override
        public void ended(TrainingResult end) {
            result = end;
        }
    }

    static float[] weights(Gpt gpt) {
        return gpt.memory().values().all().toFloats();
    }

    float[] train(TrainerConfig config, Ear ear, BatchSource source) {
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(gpt, source, Batches.noise(11), config)) {
            trainer.addListener(ear).run();
            return weights(gpt);
        }
    }
}
