package org.licorne.reference;

import java.nio.ByteBuffer;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;
import org.licorne.tensor.Float16;
import org.licorne.tensor.Tensor;

/** A matrix of BF16, Q8 or Q4 weights: where each scale and number lies. The specification of the formats. */
final class SmallMatrix {
    /** Columns that share a scale. */
    static final int BLOCK = DType.TILE_COLUMNS;

    private static final int SCALE_BYTES = Short.BYTES * DType.TILE_ROWS;

    private final DType dtype;
    private final ByteBuffer bytes;
    private final int start;
    private final int columns;

    private SmallMatrix(DType dtype, ByteBuffer bytes, int start, int columns) {
        this.dtype = dtype;
        this.bytes = bytes;
        this.start = start;
        this.columns = columns;
    }

    static SmallMatrix of(Tensor tensor, int columns) {
        return new SmallMatrix(
                tensor.dtype(), ReferenceBackend.bufferOf(tensor).bytesView(), (int) tensor.byteOffset(), columns);
    }

    DType dtype() {
        return dtype;
    }

    /** Rows that are stored: of the matrix, or of its tiles. */
    static int storedRows(DType dtype, int rows) {
        return dtype.isTile() ? roundUp(rows, DType.TILE_ROWS) : rows;
    }

    static int roundUp(int value, int multiple) {
        return (value + multiple - 1) / multiple * multiple;
    }

    float bfloat16(int row, int column) {
        return BFloat16.toFloat(bytes.getShort(start + Short.BYTES * (row * columns + column)));
    }

    void putBFloat16(int row, int column, float value) {
        bytes.putShort(start + Short.BYTES * (row * columns + column), BFloat16.fromFloat(value));
    }

    private int tile(int row, int column) {
        int across = roundUp(columns, BLOCK) / BLOCK;
        return start + (row / DType.TILE_ROWS * across + column / BLOCK) * dtype.bytes();
    }

    /** The scale of the block of columns that this one is in. */
    float scale(int row, int column) {
        return Float16.toFloat(bytes.getShort(tile(row, column) + Short.BYTES * (row % DType.TILE_ROWS)));
    }

    void putScale(int row, int column, short scale) {
        bytes.putShort(tile(row, column) + Short.BYTES * (row % DType.TILE_ROWS), scale);
    }

    private int numberAt(int row, int k) {
        return SCALE_BYTES + k / 4 * 64 + row % DType.TILE_ROWS * 4 + k % 4;
    }

    /** What is multiplied with the scale. */
    int number(int row, int column) {
        int k = column % BLOCK;
        if (dtype == DType.Q8) {
            return Byte.toUnsignedInt(bytes.get(tile(row, column) + numberAt(row, k))) - 128;
        }
        int both = Byte.toUnsignedInt(bytes.get(tile(row, column) + numberAt(row, k % 16)));
        return (k < 16 ? both & 15 : both >> 4) - 8;
    }

    void putNumber(int row, int column, int number) {
        int k = column % BLOCK;
        if (dtype == DType.Q8) {
            bytes.put(tile(row, column) + numberAt(row, k), (byte) (number + 128));
            return;
        }
        int at = tile(row, column) + numberAt(row, k % 16);
        int both = bytes.get(at);
        bytes.put(at, (byte) (k < 16 ? both & 0xf0 | number + 8 : both & 0x0f | number + 8 << 4));
    }

    /** The weight itself. */
    double value(int row, int column) {
        return dtype == DType.BF16 ? bfloat16(row, column) : (double) number(row, column) * scale(row, column);
    }
}
