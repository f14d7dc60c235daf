package org.licorne.testkit;

import java.util.Arrays;
import java.util.Random;
import java.util.function.Function;
import org.licorne.tensor.DType;

/** Makes the elements of an operand, a new array each time; the same random numbers give the same elements. */
@FunctionalInterface
public interface Values {
    float[] generate(Random random, int count);

    static Values normal(double deviation) {
        return normal(0, deviation);
    }

    static Values normal(double mean, double deviation) {
        return (random, count) -> {
            float[] values = new float[count];
            for (int i = 0; i < count; i++) {
                values[i] = (float) (mean + deviation * random.nextGaussian());
            }
            return values;
        };
    }

    /** Normal, but every seventh element is plus or minus {@code outlier}. */
    static Values outliers(double outlier) {
        return (random, count) -> {
            float[] values = normal(1).generate(random, count);
            for (int i = 0; i < count; i += 7) {
                values[i] = (float) (random.nextBoolean() ? outlier : -outlier);
            }
            return values;
        };
    }

    static Values constant(float value) {
        return (random, count) -> {
            float[] values = new float[count];
            Arrays.fill(values, value);
            return values;
        };
    }

    /** Squares of normal numbers, for second moments. */
    static Values squares(double deviation) {
        return (random, count) -> {
            float[] values = normal(deviation).generate(random, count);
            for (int i = 0; i < count; i++) {
                values[i] *= values[i];
            }
            return values;
        };
    }

    /**
     * These values, with {@code replacement} from {@code start} on, {@code length} of every {@code period} elements.
     */
    default Values with(float replacement, int start, int length, int period) {
        return (random, count) -> {
            float[] values = generate(random, count);
            for (int row = start; row < count; row += period) {
                Arrays.fill(values, row, Math.min(count, row + length), replacement);
            }
            return values;
        };
    }

    /** The same for a case whose activations are of that type. */
    default Values withActivations(DType type) {
        return this;
    }

    /** What another case has under that name, so that a backward op gets the forward op's inputs. */
    static Values inputOf(OpCase other, String name) {
        return new OfAnotherCase(other, opCase -> opCase.floats(name));
    }

    /** What the reference computes in another case, so that a backward op gets the forward op's outputs. */
    static Values outputOf(OpCase other, String name) {
        return new OfAnotherCase(other, opCase -> opCase.expected().get(name));
    }

    /** Taken from another case, which follows where activations are of another type. */
    record OfAnotherCase(OpCase other, Function<OpCase, float[]> taken) implements Values {
        @Override
        public float[] generate(Random random, int count) {
            return taken.apply(other);
        }

        @Override
        public Values withActivations(DType type) {
            return new OfAnotherCase(other.withActivations(type), taken);
        }
    }
}
