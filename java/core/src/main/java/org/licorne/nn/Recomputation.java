package org.licorne.nn;

/**
 * What the backward pass computes once more instead of keeping it from the forward pass: less memory for more time. The
 * gradients have the same bits in any case.
 */
public enum Recomputation {
    /** Nothing but what the layer normalisations wrote: 14 values are kept per token, channel and block. */
    NONE,
    /** GELU's output too, for a pass over memory per block: 10 values are kept. */
    GELU,
    /** Everything but each block's input, for about a third more time: 1 value is kept, and 9 for one block. */
    BLOCK
}
