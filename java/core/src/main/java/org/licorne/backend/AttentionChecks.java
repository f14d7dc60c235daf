package org.licorne.backend;

import static org.licorne.backend.TensorChecks.failure;
import static org.licorne.backend.TensorChecks.product;
import static org.licorne.backend.TensorChecks.reaches;

import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** What {@link KernelChecks} knows of attention: strides are followed to the last element that they reach. */
final class AttentionChecks {
    private AttentionChecks() {}

    static void scale(String op, float scale) {
        if (!(scale > 0) || Float.isInfinite(scale)) {
            throw failure(op, "scale = " + scale + " is not positive and finite");
        }
    }

    static void queries(String op, String name, Tensor tensor, DType type, AttentionShape shape, boolean written) {
        strided(
                op,
                name,
                tensor,
                type,
                shape.B(),
                shape.T(),
                shape.H() * shape.D(),
                shape.queryTokenStride(),
                shape.queryBatchStride(),
                written);
    }

    static void keys(String op, String name, Tensor tensor, DType type, AttentionShape shape, boolean written) {
        strided(
                op,
                name,
                tensor,
                type,
                shape.B(),
                shape.S(),
                shape.G() * shape.D(),
                shape.keyTokenStride(),
                shape.keyBatchStride(),
                written);
    }

    static void outputs(String op, String name, Tensor tensor, DType type, AttentionShape shape, boolean written) {
        strided(
                op,
                name,
                tensor,
                type,
                shape.B(),
                shape.T(),
                shape.H() * shape.D(),
                shape.outTokenStride(),
                shape.outBatchStride(),
                written);
    }

    private static void strided(
            String op,
            String name,
            Tensor tensor,
            DType type,
            long batches,
            long tokens,
            long width,
            long tokenStride,
            long batchStride,
            boolean written) {
        if (batchStride < 0) {
            throw failure(op, name + " has a negative batch stride of " + batchStride);
        }
        if (batches == 0 || tokens == 0) {
            reaches(op, name, tensor, type, 0);
            return;
        }
        long sequence = product(op, tokens - 1, tokenStride) + width;
        if (written && batches > 1 && batchStride < sequence) {
            throw failure(
                    op,
                    name + " is written, but its sequences of " + sequence
                            + " elements overlap at a batch stride of "
                            + batchStride);
        }
        reaches(op, name, tensor, type, product(op, batches - 1, batchStride) + sequence);
    }

    static void mask(String op, Mask mask, AttentionShape shape) {
        if (mask == null) {
            throw failure(op, "mask is null");
        }
        optional(op, "prefixLengths", mask.prefixLengths(), "B", shape.B());
        optional(op, "queryLengths", mask.queryLengths(), "B", shape.B());
        optional(op, "keyLengths", mask.keyLengths(), "B", shape.B());
        if (mask.documents() != null) {
            TensorChecks.shape(op, "documents", mask.documents(), DType.I32, "B,S", shape.B(), shape.S());
        }
    }

    private static void optional(String op, String name, Tensor tensor, String letters, long elements) {
        if (tensor != null) {
            TensorChecks.shape(op, name, tensor, DType.I32, letters, elements);
        }
    }
}
