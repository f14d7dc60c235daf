package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.nn.Parameter;
import org.licorne.random.Philox;

/** A backend for each test, and small models on it. What contracts of whole models stand on. */
abstract class GptFixture {
    /** Sizes that divide nothing evenly but what must. */
    static final GptConfig TINY = new GptConfig(13, 11, 12, 2, 3);

    /** {@link #rounding} in single precision: measured 4e-7 with AVX-512, below 1e-7 on the reference. */
    static final double ROUNDING = 2e-6;

    Backend backend;

    /** A fresh backend; the contract closes it. */
    protected abstract Backend open();

    @BeforeEach
    void openBackend() {
        backend = open();
    }

    @AfterEach
    void closeBackend() {
        backend.close();
    }

    /** What products are computed in. */
    abstract Precision precision();

    /** How far two ways to compute the same thing may be apart, relative to the largest value. */
    abstract double rounding();

    static int[] tokens(int count, int vocabulary, long seed) {
        int[] ids = new int[count];
        for (int i = 0; i < count; i++) {
            ids[i] = (int) (Philox.uniform(seed, 0, i) * vocabulary);
        }
        return ids;
    }

    /** A model with large weights, so that no gradient drowns in rounding. */
    Gpt lively(GptConfig config, long seed) {
        return enlivened(Gpt.initialise(backend, config, seed), seed).computeIn(precision());
    }

    /** Adds to all weights of a model, which may be on another backend. */
    static Gpt enlivened(Gpt gpt, long seed) {
        int stream = 100;
        for (Parameter parameter : gpt.parameters()) {
            float[] values = parameter.tensor().toFloats();
            for (int i = 0; i < values.length; i++) {
                values[i] += 0.3f * (float) Philox.normal(seed, stream, i);
            }
            parameter.tensor().write(values);
            stream++;
        }
        gpt.weightsChanged();
        return gpt;
    }

    static void assertClose(float[] actual, float[] expected, double tolerance) {
        assertThat(actual).hasSameSizeAs(expected);
        double largest = 1e-30;
        for (float value : expected) {
            largest = Math.max(largest, Math.abs(value));
        }
        for (int i = 0; i < actual.length; i++) {
            double difference = Math.abs((double) actual[i] - expected[i]) / largest;
            assertThat(difference <= tolerance)
                    .as("element %d: %s instead of %s, largest %s", i, actual[i], expected[i], largest)
                    .isTrue();
        }
    }
}
