package org.licorne.tensor;

/**
 * The element types a {@link Tensor} can hold. All are stored little-endian.
 *
 * <p>An element of {@link #Q8} or {@link #Q4} is a tile of a matrix of weights, {@value #TILE_ROWS} rows by {@value
 * #TILE_COLUMNS} columns: first a binary16 scale for each row, then the numbers q of which each weight is q times its
 * row's scale. A matrix of (rows, columns) weights is a tensor of ({@code ⌈rows/16⌉, ⌈columns/32⌉}) tiles, and what its
 * last tiles have beyond the matrix is 0. Files hold tiles as they are, so another layout is another version of the
 * files: see {@link org.licorne.checkpoint.ModelDirectory}.
 */
public enum DType {
    /** IEEE 754 binary32. */
    F32(4),
    /** bfloat16: the upper half of a binary32. */
    BF16(2),
    /** Signed 32-bit integer; token ids, positions and lengths. */
    I32(4),
    /** Raw bytes; workspace. */
    U8(1),
    /**
     * Tiles of weights in 8 bits: q + 128 as a byte, q from -127 to 127. After the 32 bytes of scales, row r and column
     * k have byte {@code (k/4)·64 + r·4 + k%4}.
     */
    Q8(544, 2),
    /**
     * Tiles of weights in 4 bits: q + 8, q from -8 to 7. After the 32 bytes of scales, columns k and k + 16 (k below
     * 16) of row r share byte {@code (k/4)·64 + r·4 + k%4}, the former in its lower half.
     */
    Q4(288, 2);

    /** Rows of a tile. */
    public static final int TILE_ROWS = 16;

    /** Columns of a tile: weights that share a scale. */
    public static final int TILE_COLUMNS = 32;

    private final int bytes;
    private final int alignment;

    DType(int bytes) {
        this(bytes, bytes);
    }

    DType(int bytes, int alignment) {
        this.bytes = bytes;
        this.alignment = alignment;
    }

    /** What an element's address must be a multiple of, in bytes. */
    public int alignment() {
        return alignment;
    }

    /** Whether an element is a tile of a matrix. */
    public boolean isTile() {
        return this == Q8 || this == Q4;
    }

    /** The shape of the tensor that holds a matrix of that many weights. */
    public long[] matrixShape(long rows, long columns) {
        return isTile()
                ? new long[] {(rows + TILE_ROWS - 1) / TILE_ROWS, (columns + TILE_COLUMNS - 1) / TILE_COLUMNS}
                : new long[] {rows, columns};
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }
}
