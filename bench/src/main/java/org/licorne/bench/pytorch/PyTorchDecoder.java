package org.licorne.bench.pytorch;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * Greedy decoding of a {@link PyTorchGpt} with a preallocated key and value cache, one token per sequence and call.
 * Whoever makes it closes it, before the model. Not thread-safe.
 */
public final class PyTorchDecoder implements AutoCloseable {
    private final PyTorchGpt model;
    private final int B;
    private final int capacity;
    private final List<Tensor> keyCaches = new ArrayList<>(); // (B, H, S, D) per layer
    private final List<Tensor> valueCaches = new ArrayList<>();
    private final OwnedPointers memory = new OwnedPointers();
    private int length;

    public PyTorchDecoder(PyTorchGpt model, int B, int capacity) {
        this.model = model;
        this.B = B;
        this.capacity = capacity;
        long H = model.config().heads();
        long D = model.config().channels() / H;
        try (PointerScope scope = new PointerScope()) {
            for (int layer = 0; layer < model.config().layers(); layer++) {
                keyCaches.add(cache(H, D));
                valueCaches.add(cache(H, D));
            }
        }
    }

    private Tensor cache(long H, long D) {
        return memory.keep(torch.zeros(B, H, capacity, D).to(model.precision().type()));
    }

    /** Tokens in the cache. */
    public int length() {
        return length;
    }

    /** Forgets all tokens. */
    public void reset() {
        length = 0;
    }

    /** Takes one token per sequence and gives the likeliest next one. */
    public int[] step(int[] tokens) {
        try (PointerScope scope = new PointerScope()) {
            double[] best = PyTorch.values(advance(tokens).argmax(new LongOptional(-1), false));
            int[] next = new int[B];
            for (int b = 0; b < B; b++) {
                next[b] = (int) best[b];
            }
            return next;
        }
    }

    /** Takes one token per sequence and gives the logits (B, V) of the next one. */
    public double[] logits(int[] tokens) {
        try (PointerScope scope = new PointerScope()) {
            return PyTorch.values(advance(tokens));
        }
    }

    private Tensor advance(int[] tokens) {
        if (length == capacity) {
            throw new IllegalStateException("the cache of " + capacity + " tokens is full");
        }
        AutoGradMode noGradients = new AutoGradMode(false);
        try {
            Tensor x = model.embed(PyTorch.indices(tokens, B, 1), length); // (B, 1, C)
            for (int layer = 0; layer < keyCaches.size(); layer++) {
                String prefix = "h." + layer + ".";
                Tensor[] qkv = model.queryKeyValue(prefix, x, B, 1);
                keyCaches.get(layer).narrow(2, length, 1).copy_(qkv[1]);
                valueCaches.get(layer).narrow(2, length, 1).copy_(qkv[2]);
                Tensor keys = keyCaches.get(layer).narrow(2, 0, length + 1L);
                Tensor values = valueCaches.get(layer).narrow(2, 0, length + 1L);
                Tensor mixed = PyTorch.attention(qkv[0], keys, values, false, model.scale());
                x = model.finishBlock(prefix, x, mixed, B, 1);
            }
            length++;
            return model.head(x);
        } finally {
            noGradients.close();
        }
    }

    @Override
    public void close() {
        memory.close();
        keyCaches.clear();
        valueCaches.clear();
    }
}
