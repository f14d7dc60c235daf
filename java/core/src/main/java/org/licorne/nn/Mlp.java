package org.licorne.nn;

import org.licorne.backend.Kernels;
import org.licorne.tensor.Tensor;

/** Two linear maps with GELU between them. Stateless but for its parameters, which {@link Parameters} owns. */
public final class Mlp {
    private final Linear up; // c_fc: C to 4C
    private final Linear down; // c_proj: 4C to C

    public Mlp(Parameters parameters, String name, long channels, long hidden) {
        this.up = new Linear(parameters, name + ".c_fc", channels, hidden);
        this.down = new Linear(parameters, name + ".c_proj", hidden, channels);
    }

    public Linear up() {
        return up;
    }

    public Linear down() {
        return down;
    }

    /** What the backward pass needs of one forward pass over N rows. */
    public static final class Activations {
        private final Tensor hidden; // (N, 4C), before GELU
        private final Tensor active; // (N, 4C), after it

        public Activations(Slab slab, String name, long N, long hiddenChannels) {
            this(slab, name, N, hiddenChannels, true);
        }

        /** @param keepsHidden whether a backward pass will follow; without it GELU works in place */
        public Activations(Slab slab, String name, long N, long hiddenChannels, boolean keepsHidden) {
            hidden = slab.floats(name + ".hidden", N, hiddenChannels);
            active = keepsHidden ? slab.floats(name + ".active", N, hiddenChannels) : hidden;
        }
    }

    /** @param out (N, C) @param x (N, C) */
    public void forward(Kernels kernels, Activations kept, Tensor out, Tensor x, long N) {
        up.forward(kernels, kept.hidden, x, N);
        kernels.geluForward(kept.active, kept.hidden);
        down.forward(kernels, out, kept.active, N);
    }

    /** @param dx (N, C) @param dout (N, C) @param x (N, C) @param dhidden scratch, (N, 4C) */
    public void backward(
            Kernels kernels, Activations kept, Tensor dx, Tensor dout, Tensor x, Tensor dhidden, long N) {
        down.backward(kernels, dhidden, dout, kept.active, N);
        kernels.geluBackward(dhidden, dhidden, kept.hidden);
        up.backward(kernels, dx, dhidden, x, N);
    }
}
