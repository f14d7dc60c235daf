package org.licorne.tensor;

/** The element types a {@link Tensor} can hold. All are stored little-endian. */
public enum DType {
    /** IEEE 754 binary32. */
    F32(4),
    /** bfloat16: the upper half of a binary32. */
    BF16(2),
    /** Signed 32-bit integer; token ids, positions and lengths. */
    I32(4),
    /** Raw bytes; workspace and packed or quantised weights. */
    U8(1);

    private final int bytes;

    DType(int bytes) {
        this.bytes = bytes;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }
}
