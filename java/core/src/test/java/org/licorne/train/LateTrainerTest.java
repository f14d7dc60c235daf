package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.model.Gpt;

/** All that holds of training, on a backend that has a step's numbers only when the next step is on its way. */
class LateTrainerTest extends TrainerTest {
    private LateBackend late;

    @Override
    Backend openBackend() {
        late = new LateBackend(Backends.open("reference"));
        return late;
    }

    @Test
    void aStepWaitsNeitherForItsNumbersNorForTheDevice() {
        train(config().steps(10).accumulation(3).outlierFactor(2).build(), new Ear(), Batches.noise(11));
        assertThat(late.synchronizations()).isZero();
        assertThat(late.waits()).as("the last step, at the end").isEqualTo(1);
        assertThat(late.openReadbacks()).isZero();
    }

    @Test
    void whatTheDeviceRefusesIsToldWithItsStep() {
        TrainingListener failing = new TrainingListener() {
            @Override
            public void step(StepMetrics metrics) {
                if (metrics.step() == 3) {
                    late.fail("embedding: tokens[5] = 12 is outside 0 to 10");
                }
            }
        };
        for (long steps : new long[] {4, 5}) { // the third is told of when the fourth was handed over
            try (Gpt gpt = Gpt.initialise(backend, TINY, 1);
                    Trainer trainer = new Trainer(
                            gpt, Batches.noise(11), null, config().steps(steps).build())) {
                assertThatThrownBy(trainer.addListener(failing)::run)
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessage("step " + (steps == 4 ? "4" : "4 or 5")
                                + ": embedding: tokens[5] = 12 is outside 0 to 10");
            }
        }
    }

    @Test
    void theMetricsAreThoseOfABackendThatIsNeverLate() {
        TrainerConfig config = config().steps(70)
                .accumulation(2)
                .clipNorm(0.5)
                .outlierFactor(1.02) // refuses steps
                .evaluateEvery(25)
                .build();
        Ear ear = new Ear();
        float[] weights = train(config, ear, Batches.noise(11));
        Ear prompt = new Ear();
        try (Backend reference = Backends.open("reference");
                Gpt gpt = Gpt.initialise(reference, TINY, 1);
                Trainer trainer = new Trainer(gpt, Batches.noise(11), Batches.noise(11), config)) {
            trainer.addListener(prompt).run();
            assertThat(weights).isEqualTo(weights(gpt));
        }
        assertThat(numbers(ear)).isEqualTo(numbers(prompt));
        assertThat(ear.skipped).isNotEmpty().isEqualTo(prompt.skipped);
        assertThat(ear.result.lastLoss()).isEqualTo(prompt.result.lastLoss());
    }

    /** All but times. */
    private static List<List<Object>> numbers(Ear ear) {
        List<List<Object>> numbers = new ArrayList<>();
        ear.steps.forEach(step -> numbers.add(List.of(
                step.step(),
                step.progress(),
                step.loss(),
                step.learningRate(),
                step.gradientNorm(),
                step.tokensSeen())));
        ear.evaluations.forEach(evaluation ->
                numbers.add(List.of(evaluation.step(), evaluation.loss(), evaluation.best(), evaluation.tokensSeen())));
        return numbers;
    }
}
