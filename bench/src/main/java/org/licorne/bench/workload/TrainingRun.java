package org.licorne.bench.workload;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.licorne.backend.Backend;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.train.BatchSource;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingListener;

/**
 * What a trainer's steps take on one of Licorne's backends, one issued after the other: the host draws a batch and
 * hands over a step while the device works at the one before. Time goes from the arrival of one step's loss to that of
 * another, so what is waited for once, at the ends, is not in it.
 *
 * @param secondsPerStep mean over all timed steps
 * @param least of one step
 * @param most of one step
 * @param loss of the last step
 */
public record TrainingRun(double secondsPerStep, double least, double most, double loss) {
    /** Trains a model of the spec's size from its beginning; the backend stays the caller's. */
    public static TrainingRun on(Backend backend, WorkloadSpec spec, int warmUp, int steps) {
        GptConfig model = Workloads.config(spec);
        TrainerConfig config = TrainerConfig.builder()
                .batchSize(spec.batch())
                .sequenceLength(spec.context())
                .steps(warmUp + steps)
                .learningRate(TrainingData.LEARNING_RATE)
                .precision(WorkloadSpec.products(spec.precision()))
                .build();
        List<Long> arrivals = new ArrayList<>();
        double[] loss = new double[1];
        try (Gpt gpt = Gpt.initialise(backend, model, TrainingData.SEED);
                Trainer trainer = new Trainer(gpt, new Draws(model.vocabularySize()), null, config)) {
            trainer.addListener(new TrainingListener() {
                @Override
                public void step(StepMetrics metrics) {
                    arrivals.add(System.nanoTime());
                    loss[0] = metrics.loss();
                }
            });
            trainer.run();
        }
        double[] seconds = new double[steps];
        for (int i = 0; i < steps; i++) {
            seconds[i] = (arrivals.get(warmUp + i) - arrivals.get(warmUp + i - 1)) * 1e-9;
        }
        Arrays.sort(seconds);
        return new TrainingRun(Arrays.stream(seconds).sum() / steps, seconds[0], seconds[steps - 1], loss[0]);
    }

    /** Random tokens; a function of the batch's number. */
    private record Draws(int vocabulary) implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            SplittableRandom random = new SplittableRandom(TrainingData.SEED + index);
            for (int b = 0; b < B; b++) {
                int token = random.nextInt(vocabulary);
                for (int t = 0; t < T; t++) {
                    inputs[b * T + t] = token;
                    token = random.nextInt(vocabulary);
                    targets[b * T + t] = token;
                }
            }
        }

        @Override
        public long tokens() {
            return Integer.MAX_VALUE;
        }

        @Override
        public String fingerprint() {
            return "random tokens";
        }
    }
}
