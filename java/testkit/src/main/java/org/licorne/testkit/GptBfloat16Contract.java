package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.licorne.backend.Precision;
import org.licorne.model.Gpt;
import org.licorne.model.TrainingPass;
import org.licorne.nn.Parameter;

/** What a whole model must do on a backend that keeps activations in BF16. A backend's tests extend it. */
public abstract class GptBfloat16Contract extends AnyPrecisionGptContract {
    /**
     * Measured 1e-7 on the reference and on CUDA's kernels over the emulator, where a product's sums have one order
     * whatever its rows. A library may choose another one for another number of rows; then some values round to their
     * neighbours, 2^-8 away.
     */
    private static final double ROUNDED_TO_A_NEIGHBOUR = 1e-2;

    /** Of the loss: measured 1.5e-3 on the reference, 1.7e-3 on CUDA's kernels over the emulator. */
    private static final double LOSS_ROUNDING = 4e-3;

    /** Root mean square over that of the gradient: measured 0.036 at most on both. */
    private static final double GRADIENT_ROUNDING = 0.07;

    @Override
    final Precision precision() {
        return Precision.BF16;
    }

    @Override
    final double rounding() {
        return ROUNDED_TO_A_NEIGHBOUR;
    }

    /** Finite differences drown in rounded weights; the gradients in F32, which pass them, are the measure instead. */
    @Test
    void gradientsAreThoseOfF32ButForRounding() {
        int B = 2;
        int T = 7;
        int[] inputs = tokens(B * T, TINY.vocabularySize(), 1);
        int[] targets = tokens(B * T, TINY.vocabularySize(), 2);
        targets[3] = -1;
        float scale = 1f / (B * T - 1);
        try (Gpt gpt = lively(TINY, 7)) {
            double loss;
            float[][] gradients = new float[gpt.parameters().size()][];
            try (TrainingPass pass = gpt.trainingPass(B, T)) {
                loss = gradients(gpt, pass, inputs, targets, scale, gradients);
            }
            float[][] exact = new float[gradients.length][];
            double exactLoss;
            gpt.computeIn(Precision.F32);
            try (TrainingPass pass = gpt.trainingPass(B, T)) {
                exactLoss = gradients(gpt, pass, inputs, targets, scale, exact);
            }
            assertClose(new float[] {(float) loss}, new float[] {(float) exactLoss}, LOSS_ROUNDING);
            for (int p = 0; p < exact.length; p++) {
                Parameter parameter = gpt.parameters().get(p);
                double error = 0;
                double whole = 0;
                for (int i = 0; i < exact[p].length; i++) {
                    error += Math.pow(gradients[p][i] - exact[p][i], 2);
                    whole += Math.pow(exact[p][i], 2);
                }
                assertThat(Math.sqrt(error / whole)).as("%s", parameter).isBetween(1e-4, GRADIENT_ROUNDING);
            }
        }
    }

    private static double gradients(
            Gpt gpt, TrainingPass pass, int[] inputs, int[] targets, float scale, float[][] gradients) {
        gpt.zeroGradients();
        double loss = pass.lossAndGradients(inputs, targets, scale);
        for (int p = 0; p < gradients.length; p++) {
            gradients[p] = gpt.parameters().get(p).gradient().toFloats();
        }
        return loss;
    }
}
