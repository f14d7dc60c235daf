package org.licorne.testkit;

import java.nio.ByteBuffer;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Matrices of weights in tiles, as the reference packs them. Stateless. */
public final class PackedWeights {
    private PackedWeights() {}

    /** The bytes of a matrix (rows, columns) in that type. */
    public static byte[] pack(DType dtype, float[] values, long rows, long columns) {
        try (Backend reference = Backends.open("reference-multithreaded");
                MemoryScope scope = new MemoryScope(reference, "packing")) {
            Tensor x = scope.tensor("x", DType.F32, rows, columns);
            Tensor packed = scope.tensor("packed", dtype, dtype.matrixShape(rows, columns));
            x.write(values);
            reference.kernels().quantize(packed, x, rows, columns);
            return bytes(packed);
        }
    }

    /** What a tensor holds, as it lies in memory. */
    static byte[] bytes(Tensor tensor) {
        byte[] bytes = new byte[Math.toIntExact(tensor.bytes())];
        tensor.buffer().read(tensor.byteOffset(), ByteBuffer.wrap(bytes));
        return bytes;
    }

    /** The values of a tensor, integers of up to 24 bits among them, or the bytes of tiles as numbers. */
    static float[] numbers(Tensor tensor) {
        if (tensor.dtype() == DType.I32) {
            int[] integers = tensor.toInts();
            float[] numbers = new float[integers.length];
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = integers[i];
            }
            return numbers;
        }
        if (!tensor.dtype().isTile()) {
            return tensor.toFloats();
        }
        byte[] bytes = bytes(tensor);
        float[] numbers = new float[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            numbers[i] = Byte.toUnsignedInt(bytes[i]);
        }
        return numbers;
    }
}
