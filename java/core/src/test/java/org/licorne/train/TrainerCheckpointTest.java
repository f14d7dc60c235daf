package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.model.Gpt;
import org.licorne.train.TrainingListener.StepMetrics;
import org.licorne.train.TrainingResult.EndReason;

/** What a run leaves on the disk, and how another goes on from it. */
class TrainerCheckpointTest extends TrainerFixture {
    @Test
    void aResumedRunIsTheSameBitForBit() {
        TrainerConfig.Builder builder = config().accumulation(2)
                .outlierFactor(1.05)
                .evaluateEvery(4)
                .checkpointEvery(1)
                .keepCheckpoints(2);
        Ear whole = new Ear();
        float[] expected = train(builder.output(directory.resolve("whole")).build(), whole, Batches.counting(11));
        TrainerConfig config = builder.output(directory.resolve("parts")).build();
        List<Double> losses = new ArrayList<>();
        float[] actual = null;
        for (int part = 0; part < 5; part++) {
            // A new model with other weights each time: everything must come from the checkpoint.
            try (Gpt gpt = Gpt.initialise(backend, TINY, part == 0 ? 1 : 50 + part);
                    Trainer trainer = new Trainer(gpt, Batches.counting(11), Batches.noise(11), config)) {
                assertThat(trainer.resume()).isEqualTo(part > 0);
                long until = trainer.step() + 3;
                trainer.addListener(new TrainingListener() {
                            @Override
                            public void step(StepMetrics metrics) {
                                losses.add(metrics.loss());
                                if (metrics.step() >= until) {
                                    trainer.requestStop();
                                }
                            }
                        })
                        .run();
                actual = weights(gpt);
            }
        }
        assertThat(actual).isEqualTo(expected);
        assertThat(losses).isEqualTo(whole.steps.stream().map(StepMetrics::loss).toList());
    }

    /** The limit of the first steps after a checkpoint comes from norms before it. */
    @Test
    void aResumedRunSkipsTheSameOutliers() {
        TrainerConfig.Builder builder = config().steps(80).outlierFactor(1.02);
        Ear whole = new Ear();
        float[] expected = train(builder.output(directory.resolve("whole")).build(), whole, Batches.noise(11));
        assertThat(whole.skipped).hasSizeGreaterThan(3);
        TrainerConfig config = builder.output(directory.resolve("parts")).build();
        Ear parts = new Ear();
        float[] actual = null;
        for (int part = 0; parts.result == null || parts.result.reason() != EndReason.STEPS; part++) {
            try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                    Trainer trainer = new Trainer(gpt, Batches.noise(11), Batches.noise(11), config)) {
                assertThat(trainer.resume()).isEqualTo(part > 0);
                long until = part == 0 ? 50 : trainer.step() + 1 + part % 3;
                trainer.addListener(parts)
                        .addListener(new TrainingListener() {
                            @Override
                            public void step(StepMetrics metrics) {
                                if (metrics.step() >= until) {
                                    trainer.requestStop();
                                }
                            }
                        })
                        .run();
                actual = weights(gpt);
            }
        }
        assertThat(parts.skipped).isEqualTo(whole.skipped);
        assertThat(actual).isEqualTo(expected);
    }

    @Test
    void metricsAreCutBackToTheCheckpoint() throws IOException {
        TrainerConfig config =
                config().steps(6).checkpointEvery(2).output(directory).build();
        train(config, new Ear(), Batches.counting(11));
        Path file = directory.resolve(MetricsFile.FILE_NAME);
        Files.writeString(file, "{\"event\":\"step\",\"step\":7}\n{\"event\":\"st", StandardOpenOption.APPEND);
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(
                        gpt,
                        Batches.counting(11),
                        Batches.noise(11),
                        config().steps(8).output(directory).build())) {
            assertThat(trainer.resume()).isTrue();
            trainer.run();
        }
        List<Integer> steps = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            JsonNode node = new ObjectMapper().readTree(line);
            if (node.get("event").asText().equals("step")) {
                steps.add(node.get("step").asInt());
                assertThat(node.get("loss").isNumber()).isTrue();
                assertThat(node.get("learningRate").asDouble()).isPositive();
                assertThat(node.get("gradientNorm").asDouble()).isPositive();
            }
        }
        assertThat(steps).containsExactly(1, 2, 3, 4, 5, 6, 7, 8);
    }

    @Test
    void refusesToMixRuns() {
        train(config().steps(2).output(directory).build(), new Ear(), Batches.counting(11));
        assertThatThrownBy(() -> train(config().steps(2).output(directory).build(), new Ear(), Batches.counting(11)))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("earlier run (step 2)");
        assertThatThrownBy(() -> resume(Batches.noise(11), config()))
                .hasMessageContaining("other data")
                .hasMessageContaining("counting");
        assertThatThrownBy(() -> resume(Batches.counting(11), config().batchSize(3)))
                .hasMessageContaining("batchSize 2, not 3");
        assertThatThrownBy(() -> resume(Batches.counting(11), config().seed(9))).hasMessageContaining("seed");
    }

    private void resume(BatchSource source, TrainerConfig.Builder builder) {
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer =
                        new Trainer(gpt, source, null, builder.output(directory).build())) {
            trainer.resume();
        }
    }

    @Test
    void theBestWeightsComeBack() {
        TrainerConfig config = config().steps(200)
                .learningRate(3e-2)
                .evaluateEvery(5)
                .patience(3)
                .output(directory)
                .build();
        Ear ear = new Ear();
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(gpt, Batches.counting(11), Batches.noise(11), config)) {
            TrainingResult result = trainer.addListener(ear).run();
            assertThat(trainer.evaluate()).isEqualTo(result.validationLoss());
            assertThat(trainer.restoreBest()).isTrue();
            assertThat(trainer.evaluate()).isEqualTo(result.bestValidationLoss());
        }
    }

    /** The last evaluation may be the best, after the last checkpoint was written. */
    @Test
    void theBestIsKeptEvenIfTheEndFindsIt() {
        TrainerConfig config =
                config().steps(30).checkpointEvery(30).output(directory).build();
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(gpt, Batches.counting(11), Batches.counting(11), config)) {
            TrainingResult result = trainer.run();
            assertThat(result.bestValidationLoss()).isEqualTo(result.validationLoss());
            assertThat(trainer.restoreBest()).isTrue();
        }
    }

    @Test
    void aStopFromAnotherThreadWritesACheckpoint() throws InterruptedException {
        TrainerConfig config = config().steps(1_000_000).output(directory).build();
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(gpt, Batches.counting(11), null, config)) {
            Thread hook = new Thread(() -> {
                while (trainer.step() < 3) {
                    Thread.onSpinWait();
                }
                trainer.requestStop();
            });
            hook.start();
            Ear ear = new Ear();
            TrainingResult result = trainer.addListener(ear).run();
            hook.join();
            assertThat(trainer.awaitEnd(Duration.ofSeconds(1))).isTrue();
            assertThat(result.reason()).isEqualTo(EndReason.STOPPED);
            assertThat(ear.checkpoints).containsExactly(result.steps());
            assertThatThrownBy(trainer::run).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void startingOverRemovesTheOldRun() {
        TrainerConfig config = config().steps(3).output(directory).build();
        float[] first = train(config, new Ear(), Batches.counting(11));
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(gpt, Batches.counting(11), Batches.noise(11), config)) {
            trainer.startOver();
            trainer.run();
            assertThat(weights(gpt)).isEqualTo(first);
        }
    }
}
