package org.licorne.backend;

/**
 * What the products of matrices are computed in. Parameters, gradients, optimiser state and activations are F32 in
 * memory either way, and sums are F32.
 */
public enum Precision {
    /** Factors as they are. */
    F32,
    /** Factors of matrix products and of attention rounded to bfloat16, to nearest even. */
    BF16
}
