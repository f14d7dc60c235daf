package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.licorne.backend.DeviceException;
import org.licorne.backend.Precision;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.random.Philox;
import org.licorne.train.BatchSource;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingListener;

/** When a training step waits for the device: on host memory, which can tell. */
@DisabledIfSystemProperty(named = "licorne.require", matches = "cuda", disabledReason = "a GPU does not count waits")
class TrainingWithoutWaitingTest {
    private static final GptConfig TINY = new GptConfig(13, 8, 8, 1, 2);

    private final HostRuntime runtime = new HostRuntime(64L << 20);

    private static TrainerConfig.Builder config() {
        return TrainerConfig.builder().batchSize(2).steps(6).accumulation(5).precision(Precision.BF16);
    }

    private static List<String> train(HostRuntime runtime, TrainerConfig config, TrainingListener listener) {
        List<String> numbers = new ArrayList<>();
        try (CudaBackend backend = new CudaBackend(runtime, new PlainProducts());
                Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(gpt, new Noise(), null, config)) {
            trainer.addListener(listener).addListener(new TrainingListener() {
                @Override
                public void step(StepMetrics metrics) {
                    numbers.add(metrics.step() + " " + metrics.loss() + " " + metrics.gradientNorm());
                }
            });
            trainer.run();
        }
        return numbers;
    }

    @Test
    void aStepWaitsForNothingButTheNumbersOfTheStepBefore() {
        runtime.lag();
        int[] synchronizations = new int[8];
        int[] waits = new int[8];
        List<String> numbers = train(runtime, config().build(), new TrainingListener() {
            @Override
            public void step(StepMetrics metrics) {
                synchronizations[(int) metrics.step()] = runtime.synchronizations();
                waits[(int) metrics.step()] = runtime.waits();
            }
        });
        for (int step = 2; step <= 6; step++) {
            assertThat(synchronizations[step]).as("step %d", step).isEqualTo(synchronizations[1]);
            assertThat(waits[step] - waits[step - 1]).as("step %d", step).isEqualTo(1);
        }
        assertThat(numbers).isEqualTo(train(new HostRuntime(64L << 20), config().build(), new TrainingListener() {}));
        assertThat(runtime.openBlocks()).isZero();
        assertThat(runtime.openEvents()).isZero();
    }

    @Test
    void aDeviceThatFailsDuringAStepEndsTheRunWithItsMessage() {
        runtime.lag();
        assertThatThrownBy(() -> train(runtime, config().steps(9).build(), new TrainingListener() {
                    @Override
                    public void step(StepMetrics metrics) {
                        if (metrics.step() == 3) {
                            runtime.injectFault();
                        }
                    }
                }))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("cudaErrorIllegalAddress");
        assertThat(runtime.isClosed()).isTrue();
    }

    private record Noise() implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            for (int i = 0; i < B * T; i++) {
                inputs[i] = (int) (Philox.uniform(1, index, i) * 13);
                targets[i] = (int) (Philox.uniform(2, index, i) * 13);
            }
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
