package org.licorne.reference;

import java.nio.ByteBuffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** The specification of fill, add and copy. */
final class MemoryReference {
    private MemoryReference() {}

    static void fill(Tensor out, float value) {
        if (out.dtype() == DType.BF16) {
            Floats.of(out).fill(0, value, (int) out.elements());
            return;
        }
        int bits = out.dtype() == DType.I32 ? (int) value : Float.floatToRawIntBits(value);
        ByteBuffer bytes = ReferenceBackend.bufferOf(out).bytesView();
        int start = (int) out.byteOffset();
        int end = (int) (out.byteOffset() + out.bytes());
        for (int at = start; at < end; at += Integer.BYTES) {
            bytes.putInt(at, bits);
        }
    }

    static void add(Ints out, Ints x, Ints y, int count) {
        for (int i = 0; i < count; i++) {
            out.put(i, x.get(i) + y.get(i));
        }
    }

    static void copy(Tensor out, Tensor x) {
        ByteBuffer from = ReferenceBackend.bufferOf(x).bytesView();
        ByteBuffer to = ReferenceBackend.bufferOf(out).bytesView();
        to.put((int) out.byteOffset(), from, (int) x.byteOffset(), (int) x.bytes());
    }
}
