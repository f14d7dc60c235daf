package org.licorne.train;

import java.util.LinkedHashMap;
import java.util.Map;
import org.licorne.backend.Kernels;
import org.licorne.backend.Readback;
import org.licorne.model.Gpt;
import org.licorne.nn.HostTransfer;
import org.licorne.nn.Parameter;
import org.licorne.nn.Parameters;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * AdamW over the parameter slab in two calls: with weight decay for matrices and embeddings, without for the rest. Its
 * scope owns the moments. Not thread-safe.
 */
public final class AdamW {
    private final Gpt gpt;
    private final Parameters parameters;
    private final Parameters.Flat firstMoment;
    private final Parameters.Flat secondMoment;
    private final Tensor norm; // (1)
    private final Tensor workspace;
    private final HostTransfer transfer = new HostTransfer(1);
    private final float[] hostNorm = new float[1];

    /** For a model that has gradients. */
    public AdamW(Gpt gpt, MemoryScope scope) {
        this.gpt = gpt;
        this.parameters = gpt.memory();
        firstMoment = parameters.allocateFlat(scope, "adamw.m");
        secondMoment = parameters.allocateFlat(scope, "adamw.v");
        norm = scope.tensor("gradient_norm", DType.F32, 1);
        long bytes = gpt.backend()
                .kernels()
                .globalNormWorkspaceBytes(parameters.gradients().all().elements());
        workspace = bytes == 0 ? null : scope.tensor("gradient_norm_workspace", DType.U8, bytes);
    }

    /** Measures the gradients; {@link #update} clips by what was measured last. @return their Euclidean norm */
    public double gradientNorm() {
        measure();
        transfer.read(norm, 0, hostNorm, 0, 1);
        return hostNorm[0];
    }

    /**
     * The same, but it does not wait for the norm where the backend's ops need not be.
     *
     * @param result takes one float
     */
    public void gradientNorm(Readback result) {
        measure();
        result.add(norm);
    }

    private void measure() {
        gpt.backend().kernels().globalNorm(norm, parameters.gradients().all(), workspace);
    }

    /**
     * One step of all parameters, if the norm measured last is a number and at most {@code largestNorm}; else it leaves
     * everything as it is.
     *
     * @param clipNorm 0 for no clipping
     * @param largestNorm {@link Float#MAX_VALUE}: any
     * @param step number of this step, from 1; one that left everything as it was counts too
     */
    public void update(
            double learningRate,
            double beta1,
            double beta2,
            double epsilon,
            double weightDecay,
            double clipNorm,
            float largestNorm,
            long step) {
        Kernels kernels = gpt.backend().kernels(gpt.precision()); // those whose copy of the weights passes read
        Parameters.Flat copy = parameters.copy(kernels);
        Parameters.Flat values = parameters.values();
        Parameters.Flat gradients = parameters.gradients();
        kernels.adamw(
                values.decayed(),
                copy == null ? null : copy.decayed(),
                firstMoment.decayed(),
                secondMoment.decayed(),
                gradients.decayed(),
                norm,
                (float) learningRate,
                (float) beta1,
                (float) beta2,
                (float) epsilon,
                (float) weightDecay,
                clipNorm > 0 ? (float) clipNorm : Float.POSITIVE_INFINITY,
                largestNorm,
                step);
        kernels.adamw(
                values.undecayed(),
                copy == null ? null : copy.undecayed(),
                firstMoment.undecayed(),
                secondMoment.undecayed(),
                gradients.undecayed(),
                norm,
                (float) learningRate,
                (float) beta1,
                (float) beta2,
                (float) epsilon,
                0,
                clipNorm > 0 ? (float) clipNorm : Float.POSITIVE_INFINITY,
                largestNorm,
                step);
    }

    /** Views of both moments by name ({@code adamw.m/wte.weight}, …), for checkpoints. */
    public Map<String, Tensor> moments() {
        Map<String, Tensor> views = new LinkedHashMap<>();
        for (Parameter parameter : parameters.list()) {
            views.put("adamw.m/" + parameter.name(), parameters.view(firstMoment, parameter));
            views.put("adamw.v/" + parameter.name(), parameters.view(secondMoment, parameter));
        }
        return views;
    }
}
