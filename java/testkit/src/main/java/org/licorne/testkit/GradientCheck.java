package org.licorne.testkit;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.licorne.backend.Backend;
import org.licorne.tensor.Tensor;

/**
 * Holds a backward op against finite differences of its forward op: five-point differences of the weighted sum of the
 * forward op's outputs, for a sample of the elements of each gradient. Stateless.
 */
public final class GradientCheck {
    /** A power of two, so that x + h is nearly exact; truncation is then about 3e-8 of the fifth derivative. */
    private static final float STEP = 1f / 32;

    private static final int SAMPLE = 24;

    private GradientCheck() {}

    /**
     * Checks one case that has a {@link OpCase#gradient}.
     *
     * @return the largest difference, in units of the tolerance
     * @throws AssertionError with case, tensor, index and both gradients
     */
    public static double check(Backend backend, OpCase backward, Tolerance tolerance) {
        OpCase.Gradient link = backward.gradient();
        OpCase forward = link.forward();
        Map<String, float[]> gradients = backward.run(backend);
        Map<String, float[]> weights = weights(backward, link);
        double worst = 0;
        try (Operands operands = new Operands(backend, forward)) {
            Runnable call = forward.bind(backend.kernels(), operands);
            for (Map.Entry<String, String> entry : link.gradients().entrySet()) {
                float[] gradient = gradients.get(entry.getKey());
                float[] before = backward.operand(entry.getKey()).role() == Operand.Role.UPDATED
                        ? backward.floats(entry.getKey())
                        : new float[gradient.length];
                float[] x = forward.floats(entry.getValue());
                Random random = new Random(17);
                for (int n = 0; n < Math.min(SAMPLE, x.length); n++) {
                    int i = x.length <= SAMPLE ? n : random.nextInt(x.length);
                    Tensor input = operands.get(entry.getValue());
                    double numeric = derivative(call, operands, weights, input, i, x[i]);
                    double analytic = (double) gradient[i] - before[i];
                    double ratio = Math.abs(numeric - analytic) / tolerance.limit(analytic);
                    if (!(ratio <= 1)) {
                        throw new AssertionError(String.format(
                                "%s: %s[%d] is %.9g, but finite differences give %.9g, tolerance %.3g",
                                backward, entry.getKey(), i, analytic, numeric, tolerance.limit(analytic)));
                    }
                    worst = Math.max(worst, ratio);
                }
            }
        }
        return worst;
    }

    private static Map<String, float[]> weights(OpCase backward, OpCase.Gradient link) {
        Map<String, float[]> weights = new HashMap<>();
        link.weights().forEach((output, operand) -> weights.put(output, backward.floats(operand)));
        if (weights.isEmpty()) {
            for (Operand operand : link.forward().operands()) {
                if (operand.role() == Operand.Role.OUTPUT) {
                    float[] constant = new float[operand.elements()];
                    Arrays.fill(constant, (float) link.scale());
                    weights.put(operand.name(), constant);
                }
            }
        }
        return weights;
    }

    private static double derivative(
            Runnable call, Operands operands, Map<String, float[]> weights, Tensor input, int i, float x) {
        double near =
                value(call, operands, weights, input, i, x + STEP) - value(call, operands, weights, input, i, x - STEP);
        double far = value(call, operands, weights, input, i, x + 2 * STEP)
                - value(call, operands, weights, input, i, x - 2 * STEP);
        input.write(i, new float[] {x}, 0, 1);
        return (8 * near - far) / (12 * STEP);
    }

    private static double value(
            Runnable call, Operands operands, Map<String, float[]> weights, Tensor input, int i, float x) {
        input.write(i, new float[] {x}, 0, 1);
        call.run();
        double sum = 0;
        for (Map.Entry<String, float[]> entry : weights.entrySet()) {
            float[] output = operands.get(entry.getKey()).toFloats();
            float[] weight = entry.getValue();
            for (int j = 0; j < output.length; j++) {
                sum += (double) weight[j] * output[j];
            }
        }
        return sum;
    }
}
