package org.licorne.nn;

import org.licorne.backend.Kernels;
import org.licorne.tensor.Tensor;

/**
 * Layer normalisation that also adds the branch that comes back into the residual stream. Stateless but for its
 * parameters, which {@link Parameters} owns.
 */
public final class LayerNorm {
    private final Parameter weight; // (C)
    private final Parameter bias; // (C)
    private final long channels;
    private final float epsilon;

    public LayerNorm(Parameters parameters, String name, long channels, float epsilon) {
        this.weight = parameters.declare(name + ".weight", false, channels);
        this.bias = parameters.declare(name + ".bias", false, channels);
        this.channels = channels;
        this.epsilon = epsilon;
    }

    public Parameter weight() {
        return weight;
    }

    public Parameter bias() {
        return bias;
    }

    /** What the backward pass needs of one forward pass over N rows. */
    public static final class Activations {
        /** The normalised rows, (N, C). */
        public final Tensor out;

        private final Tensor mean; // (N)
        private final Tensor rstd; // (N)

        /** @param out where the normalised rows go, (N, C); norms may share it, see {@link LayerNorm#rebuild} */
        public Activations(Slab slab, String name, Tensor out, long N) {
            this.out = out;
            mean = slab.floats(name + ".mean", N);
            rstd = slab.floats(name + ".rstd", N);
        }
    }

    /**
     * Normalises {@code stream + branch}.
     *
     * @param sum receives {@code stream + branch}, (N, C); may be the same tensor as stream
     * @param branch (N, C), or null: stream is normalised as it is, and sum is not touched
     */
    public void forward(Kernels kernels, Activations kept, Tensor sum, Tensor stream, Tensor branch, long N) {
        kernels.layerNormForward(
                kept.out,
                branch == null ? null : sum,
                kept.mean,
                kept.rstd,
                stream,
                branch,
                weight.weight(kernels),
                bias.weight(kernels),
                N,
                channels,
                epsilon);
    }

    /**
     * Writes {@link Activations#out} again, the same bits, where another norm has used its memory meanwhile: a pass
     * over memory costs less than keeping the rows.
     *
     * @param x what was normalised: the sum if there was a branch
     */
    public void rebuild(Kernels kernels, Activations kept, Tensor x, long N) {
        forward(kernels, kept, null, x, null, N);
    }

    /**
     * @param dx gradient of what was normalised, (N, C)
     * @param dout gradient of the normalised rows, (N, C)
     * @param x what was normalised: the sum if there was a branch
     * @param dresidual gradient that reaches x by another way, or null; may be dx
     */
    public void backward(
            Kernels kernels,
            Activations kept,
            Tensor dx,
            Tensor dout,
            Tensor x,
            Tensor dresidual,
            Tensor workspace,
            long N) {
        kernels.layerNormBackward(
                dx,
                weight.gradient(),
                bias.gradient(),
                dout,
                x,
                weight.weight(kernels),
                kept.mean,
                kept.rstd,
                dresidual,
                workspace,
                N,
                channels);
    }
}
