package org.licorne.train;

import java.util.LinkedHashMap;
import java.util.Map;
import org.licorne.backend.Kernels;
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
        long bytes = gpt.backend().kernels().globalNormWorkspaceBytes(parameters.gradients().all().elements());
        workspace = bytes == 0 ? null : scope.tensor("gradient_norm_workspace", DType.U8, bytes);
    }

    /** Measures the gradients; {@link #update} clips by what was measured last. @return their Euclidean norm */
    public double gradientNorm() {
        gpt.backend().kernels().globalNorm(norm, parameters.gradients().all(), workspace);
        transfer.read(norm, 0, hostNorm, 0, 1);
        return hostNorm[0];
    }

    /**
     * One step of all parameters.
     *
     * @param clipNorm 0 for no clipping
     * @param step number of this update, from 1
     */
    public void update(
            double learningRate,
            double beta1,
            double beta2,
            double epsilon,
            double weightDecay,
            double clipNorm,
            long step) {
        Kernels kernels = gpt.backend().kernels(gpt.precision()); // those whose copy of the weights passes read
        Parameters.Flat copy = parameters.copy(kernels);
        Parameters.Flat values = parameters.values();
        Parameters.Flat gradients = parameters.gradients();
        Tensor clip = clipNorm > 0 ? norm : null;
        kernels.adamw(
                values.decayed(),
                copy == null ? null : copy.decayed(),
                firstMoment.decayed(),
                secondMoment.decayed(),
                gradients.decayed(),
                clip,
                (float) learningRate,
                (float) beta1,
                (float) beta2,
                (float) epsilon,
                (float) weightDecay,
                (float) clipNorm,
                step);
        kernels.adamw(
                values.undecayed(),
                copy == null ? null : copy.undecayed(),
                firstMoment.undecayed(),
                secondMoment.undecayed(),
                gradients.undecayed(),
                clip,
                (float) learningRate,
                (float) beta1,
                (float) beta2,
                (float) epsilon,
                0,
                (float) clipNorm,
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
