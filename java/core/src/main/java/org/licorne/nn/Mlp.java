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
        private final boolean keepsActive;

        private Activations(Slab slab, String name, long N, long hiddenChannels, Tensor shared, boolean keepsActive) {
            this.keepsActive = keepsActive;
            hidden = slab.activations(name + ".hidden", N, hiddenChannels);
            Tensor elsewhere = shared == null ? hidden : shared;
            active = keepsActive ? slab.activations(name + ".active", N, hiddenChannels) : elsewhere;
        }

        /** Without a backward pass; GELU works in place. */
        static Activations forwardOnly(Slab slab, String name, long N, long hiddenChannels) {
            return new Activations(slab, name, N, hiddenChannels, null, false);
        }

        /** Everything is kept. */
        static Activations keptWhole(Slab slab, String name, long N, long hiddenChannels) {
            return new Activations(slab, name, N, hiddenChannels, null, true);
        }

        /** GELU's output is not kept. @param shared where it goes meanwhile: the backward pass's scratch, (N, 4C) */
        static Activations withoutGelu(Slab slab, String name, long N, long hiddenChannels, Tensor shared) {
            return new Activations(slab, name, N, hiddenChannels, shared, false);
        }
    }

    /** @param out (N, C) @param x (N, C) */
    public void forward(Kernels kernels, Activations kept, Tensor out, Tensor x, long N) {
        if (kept.active == kept.hidden) {
            up.forwardGelu(kernels, kept.active, x, N);
        } else {
            up.forward(kernels, kept.hidden, x, N);
            kernels.geluForward(kept.active, kept.hidden);
        }
        down.forward(kernels, out, kept.active, N);
    }

    /** The part of {@link #forward} that the backward pass needs and cannot make itself. @param x (N, C) */
    public void recompute(Kernels kernels, Activations kept, Tensor x, long N) {
        up.forward(kernels, kept.hidden, x, N);
    }

    /** @param dx (N, C) @param dout (N, C) @param x (N, C) @param dhidden scratch, (N, 4C) */
    public void backward(Kernels kernels, Activations kept, Tensor dx, Tensor dout, Tensor x, Tensor dhidden, long N) {
        Tensor active = kept.active;
        if (!kept.keepsActive) {
            active = dhidden; // used up by the weight's gradient before dhidden is written over it
            kernels.geluForward(active, kept.hidden);
        }
        down.backward(kernels, dhidden, dout, active, N);
        kernels.geluBackward(dhidden, dhidden, kept.hidden);
        up.backward(kernels, dx, dhidden, x, N);
    }
}
