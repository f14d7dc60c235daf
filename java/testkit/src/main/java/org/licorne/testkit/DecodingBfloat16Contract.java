package org.licorne.testkit;

import org.licorne.backend.Precision;

/** What a model must do that writes, on a backend that keeps activations in BF16. A backend's tests extend it. */
public abstract class DecodingBfloat16Contract extends AnyPrecisionDecodingContract {
    /**
     * Of the largest logit: measured 0.018 on CUDA's kernels over the emulator, where attention to a cache rounds
     * elsewhere than attention over the whole text, and 0 on the reference.
     */
    private static final double ROUNDED_ELSEWHERE = 0.04;

    @Override
    final Precision precision() {
        return Precision.BF16;
    }

    @Override
    final double rounding() {
        return ROUNDED_ELSEWHERE;
    }
}
