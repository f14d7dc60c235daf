package org.licorne.checkpoint;

import java.io.IOException;

/** Transposes a matrix too large for the heap on its way from one place to another. */
final class Transposition {
    private static final int CHUNK_FLOATS = 1 << 20;
    /** Source rows read at a time, so that writes to the chunk fill whole cache lines. */
    private static final int TILE_ROWS = 32;

    private Transposition() {}

    /** Reads elements of the matrix in row-major order. */
    interface Reader {
        void read(long firstElement, float[] destination, int from, int count);
    }

    /** Takes the next elements of the transposed matrix. */
    interface Writer {
        void write(float[] values, int from, int count) throws IOException;
    }

    /** Gives the writer the transpose of the reader's (rows, columns) matrix, a few of its columns at a time. */
    static void transpose(Reader reader, long rows, long columns, Writer writer) throws IOException {
        if (rows == 0 || columns == 0) {
            return;
        }
        int height = Math.toIntExact(rows);
        int width = (int) Math.min(columns, Math.max(1, CHUNK_FLOATS / rows));
        float[] chunk = new float[Math.multiplyExact(width, height)]; // (width, rows)
        float[] tile = new float[TILE_ROWS * width]; // (TILE_ROWS, width)
        for (long column = 0; column < columns; column += width) {
            int now = (int) Math.min(width, columns - column);
            for (int row = 0; row < height; row += TILE_ROWS) {
                int tileRows = Math.min(TILE_ROWS, height - row);
                for (int r = 0; r < tileRows; r++) {
                    reader.read((row + (long) r) * columns + column, tile, r * width, now);
                }
                for (int c = 0; c < now; c++) {
                    for (int r = 0; r < tileRows; r++) {
                        chunk[c * height + row + r] = tile[r * width + c];
                    }
                }
            }
            writer.write(chunk, 0, now * height);
        }
    }
}
