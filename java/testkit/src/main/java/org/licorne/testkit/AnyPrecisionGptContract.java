package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Readback;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Prediction;
import org.licorne.model.TrainingPass;
import org.licorne.nn.Parameter;
import org.licorne.nn.Recomputation;
import org.licorne.tensor.MemoryScope;
import org.licorne.train.AdamW;
import org.licorne.train.BatchSource;
import org.licorne.train.LearningRateSchedule;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingListener;

/** What a whole model must do on any backend and in any precision. */
abstract class AnyPrecisionGptContract extends GptFixture {
    @Test
    void evaluationAndTrainingPassesGiveTheSameLosses() {
        int[] inputs = tokens(3 * 5, TINY.vocabularySize(), 1);
        int[] targets = tokens(3 * 5, TINY.vocabularySize(), 2);
        try (Gpt gpt = lively(TINY, 1);
                TrainingPass training = gpt.trainingPass(3, 5);
                TrainingPass evaluation = gpt.evaluationPass(3, 5)) {
            double loss = training.lossAndGradients(inputs, targets, 1);
            assertClose(
                    new float[] {(float) evaluation.evaluate(inputs, targets)}, new float[] {(float) loss}, rounding());
            float[] losses = evaluation.losses();
            float[] logits = gpt.logits(inputs, 3, 5);
            for (int n = 0; n < losses.length; n++) {
                double sum = 0;
                for (int v = 0; v < TINY.vocabularySize(); v++) {
                    sum += Math.exp(logits[n * TINY.vocabularySize() + v]);
                }
                double expected = Math.log(sum) - logits[n * TINY.vocabularySize() + targets[n]];
                assertThat(Math.abs(losses[n] - expected) <= 1e-4)
                        .as("loss %d", n)
                        .isTrue();
            }
        }
    }

    /** With all of the target's probability spread out, it does not matter which token it was. */
    @Test
    void smoothingSpreadsTheTargetAndZLossAddsToIt() {
        int[] inputs = tokens(3 * 5, TINY.vocabularySize(), 1);
        int[] targets = tokens(3 * 5, TINY.vocabularySize(), 2);
        int[] others = tokens(3 * 5, TINY.vocabularySize(), 3);
        try (Gpt gpt = lively(TINY, 1);
                TrainingPass pass = gpt.trainingPass(3, 5)) {
            gpt.zeroGradients();
            double loss = pass.lossAndGradients(inputs, targets, 0.1f, 1, 0);
            float[] gradients = gpt.memory().gradients().all().toFloats();
            gpt.zeroGradients();
            assertThat(pass.lossAndGradients(inputs, others, 0.1f, 1, 0)).isCloseTo(loss, within(1e-4));
            assertClose(gpt.memory().gradients().all().toFloats(), gradients, rounding());
            double plain = pass.lossAndGradients(inputs, targets, 0.1f);
            double squares = pass.lossAndGradients(inputs, targets, 0.1f, 0, 1) - plain;
            double both = pass.lossAndGradients(inputs, targets, 0.1f, 0.25f, 0.5f);
            assertThat(both).isCloseTo(0.75 * plain + 0.25 * loss + 0.5 * squares, within(1e-3));
            assertThat(squares).isGreaterThan(1);
            assertThat(pass.evaluate(inputs, targets)).isCloseTo(plain, within(1e-4));
        }
    }

    /** The same bits, in passes that follow each other, with a mask, and with an evaluation between. */
    @Test
    void recomputationChangesNothing() {
        GptConfig config = new GptConfig(13, 11, 12, 3, 3);
        int[] inputs = tokens(3 * 7, config.vocabularySize(), 1);
        int[] targets = tokens(3 * 7, config.vocabularySize(), 2);
        int[] documents = new int[3 * 7];
        for (int n = 0; n < documents.length; n++) {
            documents[n] = n % 7 / 3;
        }
        try (Gpt gpt = lively(config, 1)) {
            float[][] expected = null;
            long bytes = Long.MAX_VALUE;
            for (Recomputation recomputation : Recomputation.values()) {
                try (TrainingPass pass = gpt.trainingPass(3, 7, TrainingPass.PREFERRED_LOGITS_BYTES, recomputation)) {
                    gpt.zeroGradients();
                    double[] losses = new double[3];
                    losses[0] = pass.lossAndGradients(inputs, targets, 0.1f);
                    losses[1] = pass.evaluate(targets, inputs);
                    pass.packedRows(documents);
                    losses[2] = pass.lossAndGradients(targets, inputs, 0.1f);
                    float[][] results = {
                        gpt.memory().gradients().all().toFloats(),
                        {(float) losses[0], (float) losses[1], (float) losses[2]}
                    };
                    if (expected == null) {
                        expected = results;
                    }
                    assertThat(results).as(recomputation.name()).isDeepEqualTo(expected);
                    assertThat(pass.bytes()).isLessThan(bytes);
                    bytes = pass.bytes();
                }
            }
        }
    }

    @Test
    void theHeadInChunksEqualsTheHeadAtOnce() {
        int B = 3;
        int T = 7;
        int[] inputs = tokens(B * T, TINY.vocabularySize(), 1);
        int[] targets = tokens(B * T, TINY.vocabularySize(), 2);
        long rowBytes = TINY.paddedVocabularySize() * Float.BYTES;
        try (Gpt gpt = lively(TINY, 1);
                TrainingPass whole = gpt.trainingPass(B, T);
                TrainingPass chunked = gpt.trainingPass(B, T, 4 * rowBytes)) {
            gpt.zeroGradients();
            double loss = whole.lossAndGradients(inputs, targets, 0.1f);
            float[] gradients = gpt.memory().gradients().all().toFloats();
            gpt.zeroGradients();
            double chunkedLoss = chunked.lossAndGradients(inputs, targets, 0.1f);
            assertClose(new float[] {(float) chunkedLoss}, new float[] {(float) loss}, rounding());
            assertClose(gpt.memory().gradients().all().toFloats(), gradients, rounding());
            assertClose(chunked.logits(inputs), whole.logits(inputs), rounding());
        }
    }

    @Test
    void accumulatedPassesEqualOneLargeBatch() {
        int T = 6;
        int[] inputs = tokens(4 * T, TINY.vocabularySize(), 1);
        int[] targets = tokens(4 * T, TINY.vocabularySize(), 2);
        try (Gpt gpt = lively(TINY, 1);
                TrainingPass four = gpt.trainingPass(4, T);
                TrainingPass two = gpt.trainingPass(2, T)) {
            gpt.zeroGradients();
            double loss = four.lossAndGradients(inputs, targets, 0.1f);
            float[] gradients = gpt.memory().gradients().all().toFloats();
            gpt.zeroGradients();
            double sum = 0;
            for (int half = 0; half < 2; half++) {
                int from = half * 2 * T;
                sum += two.lossAndGradients(
                        Arrays.copyOfRange(inputs, from, from + 2 * T),
                        Arrays.copyOfRange(targets, from, from + 2 * T),
                        0.1f);
            }
            assertClose(new float[] {(float) sum}, new float[] {(float) loss}, rounding());
            assertClose(gpt.memory().gradients().all().toFloats(), gradients, rounding());
        }
    }

    /** Nothing of an earlier step is left, whether a pass comes next or a look at the gradients. */
    @Test
    void zeroGradientsAreZero() {
        int T = 6;
        int[] inputs = tokens(2 * T, TINY.vocabularySize(), 1);
        int[] targets = tokens(2 * T, TINY.vocabularySize(), 2);
        try (Gpt gpt = lively(TINY, 1);
                TrainingPass pass = gpt.trainingPass(2, T)) {
            gpt.zeroGradients();
            pass.lossAndGradients(inputs, targets, 0.1f);
            float[] gradients = gpt.memory().gradients().all().toFloats();
            assertThat(gradients).doesNotContain(Float.NaN);
            gpt.zeroGradients();
            pass.lossAndGradients(inputs, targets, 0.1f);
            assertThat(gpt.memory().gradients().all().toFloats()).isEqualTo(gradients);
            gpt.zeroGradients();
            for (Parameter parameter : gpt.parameters()) {
                assertThat(parameter.gradient().toFloats()).containsOnly(0);
            }
            pass.lossAndGradients(inputs, targets, 0.1f);
            gpt.zeroGradients();
            assertThat(gpt.memory().gradients().all().toFloats()).containsOnly(0);
        }
    }

    /** Documents of 2, 5 and 3 tokens: packed into one row, and padded to rows of their own. */
    @Test
    void packedDocumentsEqualPaddedOnes() {
        int[] lengths = {2, 5, 3};
        int T = 10;
        int[] inputs = tokens(T, TINY.vocabularySize(), 1);
        int[] targets = tokens(T, TINY.vocabularySize(), 2);
        int[] documents = new int[T];
        int[] paddedInputs = new int[3 * 5];
        int[] paddedTargets = new int[3 * 5];
        Arrays.fill(paddedTargets, -1);
        int from = 0;
        for (int d = 0; d < 3; d++) {
            Arrays.fill(documents, from, from + lengths[d], d);
            System.arraycopy(inputs, from, paddedInputs, d * 5, lengths[d]);
            System.arraycopy(targets, from, paddedTargets, d * 5, lengths[d]);
            from += lengths[d];
        }
        try (Gpt gpt = lively(TINY, 1);
                TrainingPass packed = gpt.trainingPass(1, T);
                TrainingPass padded = gpt.trainingPass(3, 5)) {
            gpt.zeroGradients();
            double loss = padded.lossAndGradients(paddedInputs, paddedTargets, 0.1f);
            float[] gradients = gpt.memory().gradients().all().toFloats();
            gpt.zeroGradients();
            packed.packedRows(documents);
            double packedLoss = packed.lossAndGradients(inputs, targets, 0.1f);
            assertClose(new float[] {(float) packedLoss}, new float[] {(float) loss}, rounding());
            assertClose(gpt.memory().gradients().all().toFloats(), gradients, rounding());
            packed.wholeRows();
            assertThat(packed.evaluate(inputs, targets)).isNotEqualTo(packedLoss);
        }
    }

    @Test
    void aSequenceDoesNotDependOnItsNeighboursOrItsFuture() {
        int T = 9;
        int V = TINY.vocabularySize();
        int[] batch = tokens(3 * T, V, 4);
        try (Gpt gpt = lively(TINY, 2)) {
            float[] together = gpt.logits(batch, 3, T);
            for (int b = 0; b < 3; b++) {
                int[] alone = Arrays.copyOfRange(batch, b * T, (b + 1) * T);
                float[] logits = gpt.logits(alone, 1, T);
                assertClose(logits, Arrays.copyOfRange(together, b * T * V, (b + 1) * T * V), rounding());
                float[] shorter = gpt.logits(Arrays.copyOf(alone, 4), 1, 4);
                assertClose(shorter, Arrays.copyOf(logits, 4 * V), rounding());
            }
        }
    }

    /** BOS to 台, BOS 台 to 灣, BOS 台 灣 to 大, BOS 台 灣 大 to 學. */
    @Test
    void learnsThatTaiwanIsFollowedByUniversity() {
        String characters = "台灣大學北京清華";
        int bos = characters.length();
        int[] text = {bos, 0, 1, 2, 3};
        GptConfig config = new GptConfig(bos + 1, 8, 16, 2, 2);
        BatchSource source = new Repeated(Arrays.copyOf(text, 4), Arrays.copyOfRange(text, 1, 5));
        TrainerConfig training = TrainerConfig.builder()
                .batchSize(1)
                .sequenceLength(4)
                .steps(60)
                .learningRate(1e-2)
                .precision(precision())
                .build();
        try (Gpt gpt = Gpt.initialise(backend, config, 1)) {
            try (Trainer trainer = new Trainer(gpt, source, null, training)) {
                trainer.run();
            }
            List<Prediction> predictions = gpt.predict(text, config.vocabularySize());
            for (int i = 0; i < 4; i++) {
                Prediction prediction = predictions.get(i);
                assertThat(prediction.token()).isEqualTo(text[i + 1]);
                assertThat(prediction.candidates().get(0).token())
                        .as("after %d tokens", i + 1)
                        .isEqualTo(text[i + 1]);
                assertThat(prediction.rank()).isEqualTo(1);
                assertThat(prediction.probability()).isGreaterThan(0.9);
                double sum = prediction.candidates().stream()
                        .mapToDouble(Prediction.Candidate::probability)
                        .sum();
                assertThat(Math.abs(sum - 1) <= 1e-6).isTrue();
                assertThat(Math.abs(prediction.loss() + Math.log(prediction.probability())) <= 1e-9)
                        .isTrue();
            }
            assertThat(predictions.get(4).token()).isEqualTo(-1);
        }
    }

    @Test
    void trainingIsTheSameBitsTwiceAndLeavesThePaddingZero() {
        float[] first = train(1);
        assertThat(train(1)).isEqualTo(first);
        assertThat(train(2)).isNotEqualTo(first);
    }

    private float[] train(long seed) {
        TrainerConfig config = TrainerConfig.builder()
                .batchSize(3)
                .sequenceLength(9)
                .accumulation(2)
                .steps(5)
                .learningRate(3e-3)
                .shape(LearningRateSchedule.Shape.LINEAR)
                .precision(precision())
                .build();
        try (Gpt gpt = Gpt.initialise(backend, TINY, seed);
                Trainer trainer = new Trainer(gpt, new RandomTokens(TINY.vocabularySize()), null, config)) {
            double[] losses = new double[2];
            trainer.addListener(new TrainingListener() {
                        @Override
                        public void step(StepMetrics metrics) {
                            losses[metrics.step() == 1 ? 0 : 1] = metrics.loss();
                        }
                    })
                    .run();
            assertThat(losses[0]).isBetween(2.0, 3.5);
            Parameter table = gpt.parameter("wte.weight");
            float[] padded = table.padded().toFloats();
            for (int i = (int) table.elements(); i < padded.length; i++) {
                assertThat(padded[i]).isZero();
            }
            return gpt.memory().values().all().toFloats();
        }
    }

    /**
     * Java heap that a training step and a decoding step take once they are warm; a backend that promises none asserts
     * it.
     *
     * @return the larger of the two, in bytes
     */
    protected final long heapBytesPerStep() {
        GptConfig config = new GptConfig(300, 32, 16, 2, 2);
        int[] inputs = tokens(2 * 32, 300, 1);
        int[] next = {1, 2};
        try (Gpt gpt = Gpt.initialise(backend, config, 1).computeIn(precision());
                TrainingPass pass = gpt.trainingPass(2, 32);
                DecodingPass decoding = gpt.decodingPass(2, 32);
                Readback numbers = backend.readback(pass.lossBytes() + Float.BYTES);
                MemoryScope scope = new MemoryScope(backend, "optimiser")) {
            AdamW optimiser = new AdamW(gpt, scope);
            float[] logits = new float[300];
            long training = leastHeapBytes(() -> {
                gpt.zeroGradients();
                numbers.clear();
                pass.lossAndGradients(inputs, inputs, 0.01f, 0, 0, numbers);
                optimiser.gradientNorm(numbers);
                optimiser.update(1e-3, 0.9, 0.95, 1e-8, 0.1, 1, Float.MAX_VALUE, 1);
                pass.sum(numbers.take());
            });
            decoding.feed(new int[][] {{1}, {2}});
            long decodingBytes = leastHeapBytes(() -> {
                decoding.decode(next);
                decoding.logits(1, logits);
            });
            return Math.max(training, decodingBytes);
        }
    }

    /** The least of several runs: what the runtime allocates now and then on its own account does not count. */
    private static long leastHeapBytes(Runnable step) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long thread = Thread.currentThread().getId();
        long least = Long.MAX_VALUE;
        for (int run = 0; run < 25; run++) {
            long before = threads.getThreadAllocatedBytes(thread);
            step.run();
            least = Math.min(least, threads.getThreadAllocatedBytes(thread) - before);
        }
        return least;
    }

    /** The same sequence every time. */
    private record Repeated(int[] sequence, int[] next) implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            for (int b = 0; b < B; b++) {
                System.arraycopy(sequence, 0, inputs, b * T, T);
                System.arraycopy(next, 0, targets, b * T, T);
            }
        }

        @Override
        public long tokens() {
            return sequence.length;
        }

        @Override
        public String fingerprint() {
            return "repeated " + Arrays.toString(sequence);
        }
    }

    /** Noise; a function of the batch's index. */
    private record RandomTokens(int vocabulary) implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            System.arraycopy(GptFixture.tokens(B * T, vocabulary, 2 * index), 0, inputs, 0, B * T);
            System.arraycopy(GptFixture.tokens(B * T, vocabulary, 2 * index + 1), 0, targets, 0, B * T);
        }

        @Override
        public long tokens() {
            return 1000;
        }

        @Override
        public String fingerprint() {
            return "noise";
        }
    }
}
