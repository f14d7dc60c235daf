package org.licorne.nn;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * Moves small tensors (token ids, losses, a row of logits) between Java arrays and a backend through one staging buffer
 * made beforehand, so that a step allocates nothing. Not thread-safe; owns no native memory that needs closing.
 */
public final class HostTransfer {
    private final ByteBuffer bytes;
    private final IntBuffer ints;
    private final FloatBuffer floats;

    /** @param elements the most that one transfer moves at a time; longer ones are cut up */
    public HostTransfer(int elements) {
        bytes = ByteBuffer.allocateDirect(Math.max(1, elements) * 4).order(ByteOrder.LITTLE_ENDIAN);
        ints = bytes.asIntBuffer();
        floats = bytes.asFloatBuffer();
    }

    /** Writes {@code count} ids from {@code values[from]} on to the tensor's start. */
    public void write(Tensor tensor, int[] values, int from, int count) {
        for (int done = 0; done < count; ) {
            int now = Math.min(count - done, ints.capacity());
            ints.clear();
            ints.put(values, from + done, now);
            bytes.clear().limit(now * 4);
            tensor.buffer().write(tensor.byteOffset() + done * 4L, bytes);
            done += now;
        }
    }

    /** Reads {@code count} floats, the F32 or BF16 tensor's elements from {@code firstElement} on. */
    public void read(Tensor tensor, long firstElement, float[] values, int from, int count) {
        if (tensor.dtype() == DType.BF16) {
            readHalves(tensor, firstElement, values, from, count);
            return;
        }
        for (int done = 0; done < count; ) {
            int now = Math.min(count - done, floats.capacity());
            bytes.clear().limit(now * 4);
            tensor.buffer().read(tensor.byteOffset() + (firstElement + done) * 4L, bytes);
            floats.clear();
            floats.get(values, from + done, now);
            done += now;
        }
    }

    private void readHalves(Tensor tensor, long firstElement, float[] values, int from, int count) {
        for (int done = 0; done < count; ) {
            int now = Math.min(count - done, floats.capacity());
            bytes.clear().limit(now * Short.BYTES);
            tensor.buffer().read(tensor.byteOffset() + (firstElement + done) * Short.BYTES, bytes);
            for (int i = 0; i < now; i++) {
                values[from + done + i] = BFloat16.toFloat(bytes.getShort(i * Short.BYTES));
            }
            done += now;
        }
    }
}
