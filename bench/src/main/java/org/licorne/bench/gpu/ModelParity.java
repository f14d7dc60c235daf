package org.licorne.bench.gpu;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Precision;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.GptSize;
import org.licorne.model.TrainingPass;
import org.licorne.train.BatchSource;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingListener;

/**
 * Holds a whole model on one backend against the CPU in F32: logits, gradients, and ten losses of a training run. An
 * error is the root of the summed squares of the differences over that of the expected numbers.
 */
final class ModelParity {
    /** Sizes that no tile divides. */
    private static final GptConfig SMALL = new GptConfig(1003, 96, 120, 3, 5);

    private static final int BATCH = 3;
    private static final int LENGTH = 77;
    private static final int STEPS = 10;

    /** Sums of some hundred F32 products in another order; bfloat16 keeps 8 bits, over three blocks. */
    private static final double MOST_F32 = 1e-4;

    private static final double MOST_BF16 = 5e-2;

    private final PartReport report;
    private final PrintStream log;
    private int failed;

    private ModelParity(PartReport report, PrintStream log) {
        this.report = report;
        this.log = log;
    }

    static int check(String engine, PartReport report, PrintStream log) {
        return new ModelParity(report, log).all(engine);
    }

    private int all(String engine) {
        report.root().put("engine", engine).put("against", "cpu in F32");
        try (Backend cpu = Backends.open("cpu");
                Backend other = Backends.open(engine)) {
            float[] logits = logits(cpu, Precision.F32, SMALL);
            float[] gradients = gradients(cpu, Precision.F32);
            double[] losses = losses(cpu, Precision.F32);
            for (Precision precision : Precision.values()) {
                if (!other.supports(precision)) {
                    continue;
                }
                compare(precision, "logits", logits, logits(other, precision, SMALL));
                compare(precision, "gradients", gradients, gradients(other, precision));
                compareLosses(precision, losses, losses(other, precision));
            }
            GptConfig gpt2 = GptSize.named("gpt2").config();
            if (other.availableBytes() > 4L << 30 && !engine.startsWith("reference")) {
                float[] expected = logits(cpu, Precision.F32, gpt2);
                for (Precision precision : Precision.values()) {
                    if (other.supports(precision)) {
                        compare(precision, "logits of gpt2", expected, logits(other, precision, gpt2));
                    }
                }
            }
        }
        return failed == 0 ? 0 : 1;
    }

    private static int[] tokens(int count, int vocabulary, long seed) {
        return new Random(seed).ints(count, 0, vocabulary).toArray();
    }

    private static float[] logits(Backend backend, Precision precision, GptConfig config) {
        try (Gpt gpt = Gpt.initialise(backend, config, 7).computeIn(precision)) {
            return gpt.logits(tokens(LENGTH, config.vocabularySize(), 1), 1, LENGTH);
        }
    }

    private static float[] gradients(Backend backend, Precision precision) {
        try (Gpt gpt = Gpt.initialise(backend, SMALL, 7, 0.1).computeIn(precision);
                TrainingPass pass = gpt.trainingPass(BATCH, LENGTH)) {
            gpt.zeroGradients();
            int count = BATCH * LENGTH;
            pass.lossAndGradients(
                    tokens(count, SMALL.vocabularySize(), 2), tokens(count, SMALL.vocabularySize(), 3), 1f / count);
            return gpt.memory().gradients().all().toFloats();
        }
    }

    private static double[] losses(Backend backend, Precision precision) {
        TrainerConfig config = TrainerConfig.builder()
                .batchSize(BATCH)
                .sequenceLength(LENGTH)
                .accumulation(2)
                .steps(STEPS)
                .learningRate(1e-3)
                .precision(precision)
                .build();
        List<Double> losses = new ArrayList<>();
        try (Gpt gpt = Gpt.initialise(backend, SMALL, 7);
                Trainer trainer = new Trainer(gpt, new RandomTokens(SMALL.vocabularySize()), null, config)) {
            trainer.addListener(new TrainingListener() {
                @Override
                public void step(StepMetrics metrics) {
                    losses.add(metrics.loss());
                }
            });
            trainer.run();
        }
        return losses.stream().mapToDouble(Double::doubleValue).toArray();
    }

    private void compare(Precision precision, String what, float[] expected, float[] actual) {
        double difference = 0;
        double whole = 0;
        for (int i = 0; i < expected.length; i++) {
            difference += Math.pow((double) actual[i] - expected[i], 2);
            whole += Math.pow(expected[i], 2);
        }
        record(precision, what, Math.sqrt(difference / whole));
    }

    private void compareLosses(Precision precision, double[] expected, double[] actual) {
        double worst = expected.length == actual.length ? 0 : Double.NaN;
        for (int i = 0; i < Math.min(expected.length, actual.length); i++) {
            worst = Math.max(worst, Math.abs(actual[i] - expected[i]) / expected[i]);
        }
        record(precision, STEPS + " losses", worst);
    }

    private void record(Precision precision, String what, double error) {
        double most = precision == Precision.F32 ? MOST_F32 : MOST_BF16;
        boolean fine = error <= most; // NaN is not
        failed += fine ? 0 : 1;
        report.array("comparisons")
                .addObject()
                .put("what", what)
                .put("precision", precision.name())
                .put("error", error)
                .put("most", most)
                .put("fine", fine);
        report.write();
        log.printf(
                Locale.ROOT,
                "%-4s %-16s error %.2e, at most %.0e%s%n",
                precision,
                what,
                error,
                most,
                fine ? "" : "  WRONG");
    }

    /** Noise; a function of the batch's index. */
    private record RandomTokens(int vocabulary) implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            System.arraycopy(ModelParity.tokens(B * T, vocabulary, 2 * index), 0, inputs, 0, B * T);
            System.arraycopy(ModelParity.tokens(B * T, vocabulary, 2 * index + 1), 0, targets, 0, B * T);
        }

        @Override
        public long tokens() {
            return 10_000;
        }

        @Override
        public String fingerprint() {
            return "noise";
        }
    }
}
