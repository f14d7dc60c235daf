package org.licorne.reference;

import java.nio.ByteBuffer;
import org.licorne.tensor.Tensor;

/** The specification of global_norm. Sums of fixed pieces lie in the workspace, so that threads change no order. */
final class GlobalNormReference {
    private static final int PIECE = 1 << 16;

    private GlobalNormReference() {}

    static long workspaceBytes(long elements) {
        return (elements + PIECE - 1) / PIECE * Double.BYTES;
    }

    static void forward(Workers workers, Floats out, Floats x, int count, Tensor workspace) {
        int pieces = (count + PIECE - 1) / PIECE;
        ByteBuffer sums =
                pieces == 0 ? null : ReferenceBackend.bufferOf(workspace).bytesView();
        int start = pieces == 0 ? 0 : (int) workspace.byteOffset();
        workers.run(pieces, (from, to) -> {
            for (int piece = from; piece < to; piece++) {
                double sum = 0;
                for (int i = piece * PIECE; i < Math.min(count, (piece + 1) * PIECE); i++) {
                    double value = x.get(i);
                    sum += value * value;
                }
                sums.putDouble(start + piece * Double.BYTES, sum);
            }
        });
        double total = 0;
        for (int piece = 0; piece < pieces; piece++) {
            total += sums.getDouble(start + piece * Double.BYTES);
        }
        out.put(0, Math.sqrt(total));
    }
}
