package org.licorne.bench.pytorch;

import org.bytedeco.pytorch.global.torch.ScalarType;

/** Element type of everything that the peer computes: weights, activations, gradients and optimiser state. */
public enum Precision {
    FP64(ScalarType.Double),
    FP32(ScalarType.Float),
    BF16(ScalarType.BFloat16);

    private final ScalarType type;

    Precision(ScalarType type) {
        this.type = type;
    }

    /** Bytes of one element. */
    public int bytes() {
        return switch (this) {
            case FP64 -> 8;
            case FP32 -> 4;
            case BF16 -> 2;
        };
    }

    ScalarType type() {
        return type;
    }
}
