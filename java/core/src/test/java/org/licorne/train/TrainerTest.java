package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.ForwardingBackend;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.GptSize;
import org.licorne.model.MemoryNeeds;
import org.licorne.nn.Parameter;
import org.licorne.nn.Recomputation;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.MemoryScope;
import org.licorne.train.TrainingListener.Evaluation;
import org.licorne.train.TrainingListener.StepMetrics;
import org.licorne.train.TrainingResult.EndReason;

class TrainerTest extends TrainerFixture {
    @Test
    void learnsAndReports() {
        Ear ear = new Ear();
        train(config().steps(60).evaluateEvery(20).build(), ear, Batches.counting(11));
        assertThat(ear.steps).hasSize(60);
        StepMetrics last = ear.steps.get(59);
        assertThat(last.loss()).isLessThan(ear.steps.get(0).loss() - 0.7);
        assertThat(last.step()).isEqualTo(60);
        assertThat(last.progress()).isEqualTo(1);
        assertThat(last.tokens()).isEqualTo(16);
        assertThat(last.tokensSeen()).isEqualTo(60 * 16);
        assertThat(last.flopsPerSecond())
                .isCloseTo(last.tokensPerSecond() * TINY.trainingFlopsPerToken(8), within(1.0));
        assertThat(ear.evaluations).extracting(Evaluation::step).containsExactly(20L, 40L, 60L);
        assertThat(ear.evaluations.get(0).targets()).isEqualTo(2 * 16);
        assertThat(ear.result.reason()).isEqualTo(EndReason.STEPS);
        assertThat(ear.result.steps()).isEqualTo(60);
        assertThat(ear.result.validationLoss()).isEqualTo(ear.evaluations.get(2).loss());
    }

    @Test
    void theObjectiveIsForTrainingOnly() {
        Ear plain = new Ear();
        Ear shaped = new Ear();
        train(config().steps(1).build(), plain, Batches.noise(11));
        train(config().steps(1).labelSmoothing(0.1).zLoss(10).build(), shaped, Batches.noise(11));
        assertThat(shaped.steps.get(0).loss()).isGreaterThan(plain.steps.get(0).loss() + 10);
        assertThat(shaped.result.validationLoss()).isCloseTo(plain.result.validationLoss(), within(0.5));
    }

    @Test
    void theLearningRateFollowsTheSchedule() {
        Ear ear = new Ear();
        TrainerConfig config = config().steps(20).warmupSteps(4).build();
        train(config, ear, Batches.noise(11));
        for (StepMetrics step : ear.steps) {
            assertThat(step.learningRate()).isEqualTo(config.schedule().at(step.step() / 20.0));
        }
        assertThat(ear.steps.get(3).learningRate()).isEqualTo(5e-3);
        assertThat(ear.steps.get(19).learningRate()).isEqualTo(5e-4, within(1e-12));
    }

    /** The mean over all targets of the step, not the mean of means. */
    @Test
    void accumulationWeighsEachTargetAlike() {
        BatchSource uneven = new BatchSource() {
            @Override
            public void fill(long index, int B, int T, int[] inputs, int[] targets) {
                int rows = inputs.length / T;
                for (int b = 0; b < rows; b++) {
                    long sequence = index * B + b;
                    Batches.noise(11).fill(sequence, 1, T, new int[T], new int[T]);
                    int[] in = new int[T];
                    int[] out = new int[T];
                    Batches.noise(11).fill(sequence, 1, T, in, out);
                    for (int t = 0; t < T; t++) {
                        inputs[b * T + t] = in[t];
                        targets[b * T + t] = t > sequence % 4 ? -1 : out[t];
                    }
                }
            }

            @Override
            public long tokens() {
                return 1000;
            }

            @Override
            public String fingerprint() {
                return "uneven";
            }
        };
        Ear large = new Ear();
        Ear accumulated = new Ear();
        float[] expected = train(config().steps(3).batchSize(4).build(), large, uneven);
        float[] actual = train(config().steps(3).batchSize(1).accumulation(4).build(), accumulated, uneven);
        for (int i = 0; i < 3; i++) {
            assertThat(accumulated.steps.get(i).loss())
                    .isCloseTo(large.steps.get(i).loss(), within(1e-5));
            assertThat(accumulated.steps.get(i).gradientNorm())
                    .isCloseTo(large.steps.get(i).gradientNorm(), within(1e-5));
        }
        // AdamW divides by the root of tiny second moments, which enlarges rounding: measured 8e-9.
        for (int i = 0; i < actual.length; i++) {
            assertThat(Math.abs(actual[i] - expected[i]) <= 1e-7)
                    .as("weight %d", i)
                    .isTrue();
        }
    }

    @Test
    void clippingBoundsTheFirstMoment() {
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(
                        gpt,
                        Batches.noise(11),
                        null,
                        config().steps(1).clipNorm(0.01).build())) {
            Ear ear = new Ear();
            trainer.addListener(ear).run();
            double norm = ear.steps.get(0).gradientNorm();
            assertThat(norm).isGreaterThan(0.1);
            double squares = 0;
            for (Parameter parameter : gpt.parameters()) {
                for (float m : trainer.optimiser()
                        .moments()
                        .get("adamw.m/" + parameter.name())
                        .toFloats()) {
                    squares += (double) m * m;
                }
            }
            assertThat(Math.sqrt(squares)).isCloseTo(0.1 * 0.01, within(1e-8)); // (1 - beta1) · clipNorm
        }
    }

    @Test
    void onlyMatricesAndEmbeddingsDecay() {
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1)) {
            for (Parameter parameter : gpt.parameters()) {
                assertThat(parameter.decays())
                        .as(parameter.name())
                        .isEqualTo(parameter.name().endsWith(".weight")
                                && !parameter.name().contains("ln_"));
            }
            gpt.allocateGradients();
            float[] before = weights(gpt);
            try (MemoryScope scope = new MemoryScope(backend, "test")) {
                AdamW optimiser = new AdamW(gpt, scope);
                optimiser.gradientNorm();
                optimiser.update(0.1, 0.9, 0.95, 1e-8, 0.5, 0, Float.MAX_VALUE, 1);
            }
            float[] after = weights(gpt);
            int decayed = (int) gpt.memory().values().decayed().elements();
            for (int i = 0; i < after.length; i++) {
                float expected = i < decayed ? before[i] * (1 - 0.05f) : before[i];
                assertThat(after[i]).isCloseTo(expected, within(1e-7f));
            }
        }
    }

    @Test
    void stopsEarlyWithoutProgress() {
        Ear ear = new Ear();
        // Learning to count makes the model worse and worse at noise.
        train(
                config().steps(1000)
                        .learningRate(3e-2)
                        .evaluateEvery(5)
                        .patience(3)
                        .build(),
                ear,
                Batches.counting(11));
        assertThat(ear.result.reason()).isEqualTo(EndReason.NO_PROGRESS);
        assertThat(ear.result.steps()).isLessThan(200);
        int last = ear.evaluations.size() - 1;
        assertThat(ear.evaluations.subList(last - 2, last + 1)).noneMatch(Evaluation::best);
        assertThat(ear.result.bestValidationLoss()).isLessThan(ear.result.validationLoss());
    }

    @Test
    void aTimeBudgetEndsTheRunAndDrivesTheSchedule() {
        Ear ear = new Ear();
        train(config().steps(0).seconds(0.4).warmup(0.5).build(), ear, Batches.noise(11));
        assertThat(ear.result.reason()).isEqualTo(EndReason.TIME);
        assertThat(ear.result.elapsedSeconds()).isBetween(0.4, 5.0);
        assertThat(ear.steps.size()).isGreaterThan(3);
        assertThat(ear.steps.get(ear.steps.size() - 1).learningRate()).isLessThan(3e-3);
        assertThat(ear.steps.stream()
                        .mapToDouble(StepMetrics::learningRate)
                        .max()
                        .orElseThrow())
                .isGreaterThan(2e-3);
    }

    /** Noise that looks at the weights, and may change them, when the batch of a step is asked for. */
    private record Watched(Gpt gpt, List<float[]> weights, IntConsumer before) implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            weights.add(TrainerTest.weights(gpt));
            before.accept((int) index);
            Batches.noise(11).fill(index, B, T, inputs, targets);
        }

        @Override
        public long tokens() {
            return 1000;
        }

        @Override
        public String fingerprint() {
            return "watched";
        }
    }

    private static void setBias(Gpt gpt, float value) {
        gpt.parameter("ln_f.bias").tensor().write(0, new float[] {value}, 0, 1);
    }

    @Test
    void anUpdateThatIsNotANumberIsSkipped() {
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1)) {
            List<float[]> weights = new ArrayList<>();
            float good = gpt.parameter("ln_f.bias").tensor().toFloats()[0];
            BatchSource source = new Watched(gpt, weights, batch -> setBias(gpt, batch == 1 ? Float.NaN : good));
            Ear ear = new Ear();
            try (Trainer trainer =
                    new Trainer(gpt, source, null, config().steps(4).build())) {
                trainer.addListener(ear).run();
            }
            assertThat(ear.skipped).hasSize(1);
            assertThat(ear.skipped.get(0).step()).isEqualTo(2);
            assertThat(ear.skipped.get(0).reason()).contains("loss is NaN");
            int changed = 0;
            for (int i = 0; i < weights.get(1).length; i++) {
                float after = weights.get(2)[i];
                changed += Float.isNaN(after) || after == weights.get(1)[i] ? 0 : 1;
            }
            assertThat(changed).isZero();
            assertThat(weights.get(1)).isNotEqualTo(weights.get(0));
            assertThat(weights.get(3)).isNotEqualTo(weights.get(1));
            assertThat(ear.steps).extracting(StepMetrics::step).containsExactly(1L, 2L, 3L, 4L);
            assertThat(ear.steps.get(1).loss()).isNaN();
            assertThat(ear.result.lastLoss()).isFinite();
        }
    }

    @Test
    void lossesThatStayNotANumberEndTheRun() {
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1)) {
            BatchSource source = new Watched(gpt, new ArrayList<>(), batch -> {
                if (batch == 5) {
                    setBias(gpt, Float.NaN);
                }
            });
            Ear ear = new Ear();
            try (Trainer trainer =
                    new Trainer(gpt, source, null, config().steps(100).build())) {
                trainer.addListener(ear);
                assertThatThrownBy(trainer::run)
                        .isInstanceOf(TrainingDivergedException.class)
                        .hasMessageContaining("20 steps on end");
            }
            assertThat(ear.steps).hasSize(5 + 19);
            assertThat(ear.skipped).hasSize(19);
        }
    }

    @Test
    void everyStepIsToldOnceAndBeforeWhatComesAfterIt() {
        Ear ear = new Ear();
        TrainerConfig config = config().steps(7)
                .evaluateEvery(3)
                .checkpointEvery(2)
                .keepCheckpoints(9)
                .output(directory)
                .build();
        train(config, ear, Batches.noise(11));
        List<String> expected = new ArrayList<>();
        for (int step = 1; step <= 7; step++) {
            expected.add("step " + step);
            if (step % 3 == 0 || step == 7) {
                expected.add("evaluated " + step);
            }
            if (ear.checkpoints.contains((long) step)) { // every second, and each with a best loss
                expected.add("checkpoint " + step);
            }
        }
        assertThat(ear.events).isEqualTo(expected);
        assertThat(ear.checkpoints).contains(2L, 4L, 6L, 7L);
    }

    @Test
    void theStepBeforeOneThatFailsIsToldNonetheless() {
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1)) {
            BatchSource source = new Watched(gpt, new ArrayList<>(), batch -> {
                if (batch == 3) {
                    throw new IllegalStateException("the disk is gone");
                }
            });
            Ear ear = new Ear();
            try (Trainer trainer =
                    new Trainer(gpt, source, null, config().steps(9).build())) {
                trainer.addListener(ear);
                assertThatThrownBy(trainer::run).hasMessage("the disk is gone");
            }
            assertThat(ear.events).containsExactly("step 1", "step 2", "step 3");
        }
    }

    @Test
    void aBatchWithoutTargetsIsSkipped() {
        BatchSource empty = new BatchSource() {
            @Override
            public void fill(long index, int B, int T, int[] inputs, int[] targets) {
                Batches.noise(11).fill(index, B, T, inputs, targets);
                Arrays.fill(targets, -1);
            }

            @Override
            public long tokens() {
                return 100;
            }

            @Override
            public String fingerprint() {
                return "empty";
            }
        };
        Ear ear = new Ear();
        train(config().steps(2).build(), ear, empty);
        assertThat(ear.skipped).hasSize(2);
        assertThat(ear.skipped.get(0).reason()).contains("no position");
    }

    @Test
    void tooLittleMemoryIsSaidBeforehandWithARemedy() {
        try (Gpt gpt = Gpt.initialise(new Narrow(backend, 400_000), TINY, 1)) {
            assertThatThrownBy(() -> new Trainer(
                            gpt, Batches.noise(11), null, config().batchSize(64).build()))
                    .isInstanceOf(OutOfDeviceMemoryException.class)
                    .hasMessageContaining("a batch of 64 sequences of 8 tokens")
                    .hasMessageContaining("a batch of ")
                    .hasMessageContaining("accumulated")
                    .satisfies(e -> assertThat(((OutOfDeviceMemoryException) e).requestedBytes())
                            .isGreaterThan(400_000));
            new Trainer(gpt, Batches.noise(11), null, config().batchSize(2).build()).close();
        }
        GptConfig huge = GptSize.named("gpt3-175b").config();
        assertThatThrownBy(() -> TrainingMemory.require(backend, huge, config().build()))
                .isInstanceOf(OutOfDeviceMemoryException.class)
                .hasMessageContaining("smaller model");
        Narrow narrow = new Narrow(backend, 400_000);
        try (Gpt gpt = Gpt.initialise(narrow, TINY, 1)) {
            narrow.available = 1000;
            assertThatThrownBy(() -> new Trainer(gpt, Batches.noise(11), null, config().build()))
                    .hasMessageContaining("smaller model");
        }
    }

    /** What was computed beforehand is what is then taken. */
    @Test
    void theMemoryForeseenIsTheMemoryTaken() {
        Narrow narrow = new Narrow(backend, Long.MAX_VALUE);
        try (Gpt gpt = Gpt.initialise(narrow, TINY, 1)) {
            TrainerConfig config =
                    config().batchSize(3).recomputation(Recomputation.BLOCK).build();
            new Trainer(gpt, Batches.noise(11), null, config).close();
            long needed = MemoryNeeds.toTrain(TINY, backend.kernels(), 3, 8, config.logitsBytes(), Recomputation.BLOCK)
                    .total();
            assertThat(narrow.allocated).isBetween(needed, needed + 4096); // plus the norm and its workspace
        }
    }

    @Test
    void tokensAndLengthsAreChecked() {
        try (Gpt gpt = Gpt.initialise(backend, TINY, 1)) {
            assertThatThrownBy(() -> new Trainer(
                            gpt,
                            Batches.noise(11),
                            null,
                            config().sequenceLength(9).build()))
                    .hasMessageContaining("9 tokens")
                    .hasMessageContaining("8");
            try (Trainer trainer = new Trainer(gpt, Batches.noise(40), null, config().build())) {
                assertThatThrownBy(trainer::run)
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageStartingWith("step 1: ")
                        .hasMessageContaining("vocabulary of 11");
            }
            assertThatThrownBy(() -> new Trainer(gpt, new Batches("none", 11, 0, false), null, config().build()))
                    .hasMessageContaining("nothing to train on");
        }
    }

    /** A backend that says it has so much memory left. */
    private static final class Narrow extends ForwardingBackend {
        private long available;
        private long allocated;

        Narrow(Backend backend, long available) {
            super(backend);
            this.available = available;
        }

        @Override
        public long availableBytes() {
            return available;
        }

        @Override
        public Buffer allocate(String name, long bytes) {
            allocated += bytes;
            return super.allocate(name, bytes);
        }

        @Override
        public void close() {
            // the backend is not this one's
        }
    }
}
