package org.licorne.bench.vector;

import java.util.Arrays;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Matrix products in the Vector API, the way a careful Java programmer would write them: both factors are packed into
 * strips that stay in the caches, and a tile of {@value #ROWS} rows by two vectors of the result stays in registers.
 * The factors' strides are free, so that a transposed factor is only another way to pack.
 */
final class VectorProduct {
    private static final VectorSpecies<Float> WIDEST = FloatVector.SPECIES_PREFERRED;
    private static final int WIDTH = WIDEST.length();
    /** Of the tile in registers: 12 sums, two vectors of the right factor and one of the left fit into 16 registers. */
    private static final int ROWS = 6;

    private static final int COLUMNS = 2 * WIDTH;
    /** Products summed before the tile is added to the result: a strip of either factor stays in the first cache. */
    private static final int DEPTH = 256;
    /** Rows of the left factor that are packed at a time, into half of a second-level cache. */
    private static final int PACKED_ROWS = 32 * ROWS;

    private static final int TASK_ROWS = 4 * PACKED_ROWS;
    private static final int TASK_COLUMNS = 256;

    private static final ThreadLocal<Packed> PACKED = ThreadLocal.withInitial(Packed::new);

    private VectorProduct() {}

    /** A matrix in an array: element (i, j) lies at {@code start + i·rowStride + j·columnStride}. */
    record Matrix(float[] values, int start, int rowStride, int columnStride) {
        /** Row after row. */
        static Matrix of(float[] values, int start, int columns) {
            return new Matrix(values, start, columns, 1);
        }

        Matrix transposed() {
            return new Matrix(values, start, columnStride, rowStride);
        }

        Matrix from(int row, int column) {
            return new Matrix(values, start + row * rowStride + column * columnStride, rowStride, columnStride);
        }
    }

    /** What a thread packs into. */
    private static final class Packed {
        private final float[] left = new float[PACKED_ROWS * DEPTH];
        private float[] right = new float[0];
        private final float[] tile = new float[ROWS * COLUMNS];
    }

    /** {@code out (M,N) += left (M,K) · right (K,N)} on all threads; the columns of out lie side by side. */
    static void addParallel(Matrix out, Matrix left, Matrix right, int M, int N, int K) {
        int down = (M + TASK_ROWS - 1) / TASK_ROWS;
        int across = (N + TASK_COLUMNS - 1) / TASK_COLUMNS;
        IntStream.range(0, down * across).parallel().forEach(task -> {
            int row = task % down * TASK_ROWS;
            int column = task / down * TASK_COLUMNS;
            add(
                    out.from(row, column),
                    left.from(row, 0),
                    right.from(0, column),
                    Math.min(TASK_ROWS, M - row),
                    Math.min(TASK_COLUMNS, N - column),
                    K);
        });
    }

    /** The same on this thread. */
    static void add(Matrix out, Matrix left, Matrix right, int M, int N, int K) {
        Packed packed = PACKED.get();
        int strips = (N + COLUMNS - 1) / COLUMNS;
        if (packed.right.length < strips * COLUMNS * DEPTH) {
            packed.right = new float[strips * COLUMNS * DEPTH];
        }
        for (int k = 0; k < K; k += DEPTH) {
            int depth = Math.min(DEPTH, K - k);
            for (int strip = 0; strip < strips; strip++) {
                int column = strip * COLUMNS;
                packRight(packed.right, column * depth, right.from(k, column), Math.min(COLUMNS, N - column), depth);
            }
            for (int row = 0; row < M; row += PACKED_ROWS) {
                int rows = Math.min(PACKED_ROWS, M - row);
                packLeft(packed.left, left.from(row, k), rows, depth);
                for (int strip = 0; strip < strips; strip++) {
                    int column = strip * COLUMNS;
                    int columns = Math.min(COLUMNS, N - column);
                    for (int r = 0; r < rows; r += ROWS) {
                        tile(
                                packed,
                                out.from(row + r, column),
                                r * depth,
                                column * depth,
                                Math.min(ROWS, rows - r),
                                columns,
                                depth);
                    }
                }
            }
        }
    }

    /** A tile that reaches beyond the result is computed aside. */
    private static void tile(Packed packed, Matrix out, int left, int right, int rows, int columns, int depth) {
        if (rows == ROWS && columns == COLUMNS) {
            multiply(packed.left, left, packed.right, right, depth, out.values(), out.start(), out.rowStride());
            return;
        }
        Arrays.fill(packed.tile, 0);
        multiply(packed.left, left, packed.right, right, depth, packed.tile, 0, COLUMNS);
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                out.values()[out.start() + row * out.rowStride() + column] += packed.tile[row * COLUMNS + column];
            }
        }
    }

    private static void packLeft(float[] into, Matrix from, int rows, int depth) {
        for (int first = 0; first < rows; first += ROWS) {
            for (int r = 0; r < ROWS; r++) {
                int at = first * depth + r;
                if (first + r < rows) {
                    int source = from.start() + (first + r) * from.rowStride();
                    for (int k = 0; k < depth; k++) {
                        into[at + k * ROWS] = from.values()[source + k * from.columnStride()];
                    }
                } else {
                    for (int k = 0; k < depth; k++) {
                        into[at + k * ROWS] = 0;
                    }
                }
            }
        }
    }

    private static void packRight(float[] into, int start, Matrix from, int columns, int depth) {
        if (columns < COLUMNS) {
            Arrays.fill(into, start, start + COLUMNS * depth, 0);
        }
        if (from.columnStride() == 1) {
            for (int k = 0; k < depth; k++) {
                System.arraycopy(
                        from.values(), from.start() + k * from.rowStride(), into, start + k * COLUMNS, columns);
            }
            return;
        }
        for (int column = 0; column < columns; column++) {
            int source = from.start() + column * from.columnStride();
            for (int k = 0; k < depth; k++) {
                into[start + k * COLUMNS + column] = from.values()[source + k * from.rowStride()];
            }
        }
    }

    private static void multiply(
            float[] left, int l, float[] right, int r, int depth, float[] out, int start, int stride) {
        FloatVector sum00 = FloatVector.zero(WIDEST);
        FloatVector sum01 = sum00;
        FloatVector sum10 = sum00;
        FloatVector sum11 = sum00;
        FloatVector sum20 = sum00;
        FloatVector sum21 = sum00;
        FloatVector sum30 = sum00;
        FloatVector sum31 = sum00;
        FloatVector sum40 = sum00;
        FloatVector sum41 = sum00;
        FloatVector sum50 = sum00;
        FloatVector sum51 = sum00;
        for (int k = 0; k < depth; k++) {
            FloatVector b0 = FloatVector.fromArray(WIDEST, right, r);
            FloatVector b1 = FloatVector.fromArray(WIDEST, right, r + WIDTH);
            FloatVector a = FloatVector.broadcast(WIDEST, left[l]);
            sum00 = a.fma(b0, sum00);
            sum01 = a.fma(b1, sum01);
            a = FloatVector.broadcast(WIDEST, left[l + 1]);
            sum10 = a.fma(b0, sum10);
            sum11 = a.fma(b1, sum11);
            a = FloatVector.broadcast(WIDEST, left[l + 2]);
            sum20 = a.fma(b0, sum20);
            sum21 = a.fma(b1, sum21);
            a = FloatVector.broadcast(WIDEST, left[l + 3]);
            sum30 = a.fma(b0, sum30);
            sum31 = a.fma(b1, sum31);
            a = FloatVector.broadcast(WIDEST, left[l + 4]);
            sum40 = a.fma(b0, sum40);
            sum41 = a.fma(b1, sum41);
            a = FloatVector.broadcast(WIDEST, left[l + 5]);
            sum50 = a.fma(b0, sum50);
            sum51 = a.fma(b1, sum51);
            l += ROWS;
            r += COLUMNS;
        }
        addRow(out, start, sum00, sum01);
        addRow(out, start + stride, sum10, sum11);
        addRow(out, start + 2 * stride, sum20, sum21);
        addRow(out, start + 3 * stride, sum30, sum31);
        addRow(out, start + 4 * stride, sum40, sum41);
        addRow(out, start + 5 * stride, sum50, sum51);
    }

    private static void addRow(float[] out, int start, FloatVector first, FloatVector second) {
        FloatVector.fromArray(WIDEST, out, start).add(first).intoArray(out, start);
        FloatVector.fromArray(WIDEST, out, start + WIDTH).add(second).intoArray(out, start + WIDTH);
    }
}
