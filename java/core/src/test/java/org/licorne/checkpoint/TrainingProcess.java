package org.licorne.checkpoint;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.random.Philox;
import org.licorne.train.BatchSource;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingListener;

/**
 * A training run in a JVM of its own, to be killed: resumes if there is something to resume from, prints each step, and
 * on SIGTERM writes a checkpoint first. Arguments: output directory, steps, steps between checkpoints, and a step at
 * which it waits to be stopped (0: none).
 */
final class TrainingProcess {
    private static volatile boolean stopping;

    private TrainingProcess() {}

    public static void main(String[] arguments) throws Exception {
        Path output = Path.of(arguments[0]);
        long waitAt = Long.parseLong(arguments[3]);
        TrainerConfig config = TrainerConfig.builder()
                .batchSize(2)
                .accumulation(2)
                .steps(Long.parseLong(arguments[1]))
                .checkpointEvery(Long.parseLong(arguments[2]))
                .evaluateEvery(7)
                .learningRate(1e-2)
                .output(output)
                .build();
        try (Backend backend = Backends.open();
                Gpt gpt = Gpt.initialise(backend, new GptConfig(17, 8, 8, 2, 2), 1);
                Trainer trainer = new Trainer(gpt, new Noise(1), new Noise(2), config)) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                trainer.requestStop();
                stopping = true; // after the request, so that no further step begins
                try {
                    trainer.awaitEnd(Duration.ofSeconds(30));
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }));
            trainer.addListener(new TrainingListener() {
                @Override
                public void step(StepMetrics metrics) {
                    System.out.println("step " + metrics.step());
                    while (metrics.step() == waitAt && !stopping) {
                        Thread.onSpinWait();
                    }
                }
            });
            trainer.resume();
            trainer.run();
            if (trainer.step() == config.steps()) {
                ModelDirectory.save(gpt, null, output);
                Files.writeString(output.resolve("finished"), "");
            }
        }
    }

    /** Random tokens, each batch a function of its index. */
    private record Noise(long seed) implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            for (int i = 0; i < B * T; i++) {
                inputs[i] = (int) Math.floorMod(Philox.bits(seed, index, i), 17L);
                targets[i] = (3 * inputs[i] + 1) % 17;
            }
        }

        @Override
        public long tokens() {
            return 40;
        }

        @Override
        public String fingerprint() {
            return "noise " + seed;
        }
    }
}
