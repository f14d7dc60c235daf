package org.licorne.nn;

/**
 * What the backward pass computes once more instead of keeping it from the forward pass: less memory for more time. The
 * gradients have the same bits in any case.
 */
public enum Recomputation {
    /** Nothing: every activation is kept, 16 values per token, channel and block. */
    NONE,
    /** GELU's output, for a pass over memory per block: 12 values are kept. */
    GELU,
    /** Everything but each block's input, for about a third more time: 1 value is kept, and 11 for one block. */
    BLOCK
}
