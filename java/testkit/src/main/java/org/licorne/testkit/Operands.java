package org.licorne.testkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * The tensors of one {@link OpCase} in a backend's memory. Each lies in a buffer of its own between two guard zones,
 * and starts at an address that is a multiple of 4 and, for half of the operands of most cases, of nothing more.
 * Outputs and the workspace are filled with NaN. Closed by whoever made it; for one thread.
 */
public final class Operands implements AutoCloseable {
    private static final int ALIGNMENT = 64;
    private static final int GUARD_BYTES = 256;
    private static final byte GUARD = (byte) 0xA5;
    private static final float POISON = Float.intBitsToFloat(0x7fc0dead);

    private final OpCase opCase;
    private final MemoryScope scope;
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private Tensor workspace;

    /** For the backend's F32 kernels. */
    public Operands(Backend backend, OpCase opCase) {
        this(backend, backend.kernels(), opCase);
    }

    public Operands(Backend backend, Kernels kernels, OpCase opCase) {
        this.opCase = opCase;
        this.scope = new MemoryScope(backend, opCase.toString());
        try {
            int number = 0;
            for (Operand operand : opCase.operands()) {
                int shift = opCase.isAligned() || number++ % 2 == 0 ? 0 : 4 * (1 + number % 7);
                tensors.put(operand.name(), guarded(operand.name(), shift, operand.dtype(), operand.shape()));
            }
            long bytes = opCase.workspaceBytes(kernels);
            workspace = bytes == 0 ? null : guarded("workspace", 0, DType.U8, bytes);
            reset();
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    private Tensor guarded(String name, int shift, DType dtype, long... shape) {
        long bytes = dtype.bytes();
        for (long dimension : shape) {
            bytes *= dimension;
        }
        Buffer buffer = scope.allocate(name, bytes + 2 * GUARD_BYTES);
        byte[] guard = new byte[2 * GUARD_BYTES];
        Arrays.fill(guard, GUARD);
        int start = 2 * ALIGNMENT + shift;
        buffer.write(0, ByteBuffer.wrap(guard, 0, start));
        buffer.write(start + bytes, ByteBuffer.wrap(guard, 0, 2 * GUARD_BYTES - start));
        return Tensor.of(name, buffer, start, dtype, shape);
    }

    /** The operand of that name. */
    public Tensor get(String name) {
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new IllegalArgumentException(opCase + " has no operand " + name);
        }
        return tensor;
    }

    /** The operand of that name, or null if the case leaves it out. */
    public Tensor find(String name) {
        return tensors.get(name);
    }

    /** The workspace, or null if the backend wants none. */
    public Tensor workspace() {
        return workspace;
    }

    /** Puts another tensor in an operand's place, to see it refused. */
    void replace(String name, Tensor tensor) {
        tensors.put(name, tensor);
    }

    void shrinkWorkspace() {
        workspace = workspace.part("workspace", 0, workspace.elements() - 1);
    }

    /** Writes all inputs and the poison again. */
    public void reset() {
        for (Operand operand : opCase.operands()) {
            Tensor tensor = get(operand.name());
            if (operand.dtype() == DType.I32) {
                int[] poison = new int[operand.elements()];
                Arrays.fill(poison, Float.floatToRawIntBits(POISON));
                tensor.write(operand.role() == Operand.Role.OUTPUT ? poison : opCase.ints(operand.name()));
            } else if (operand.dtype().isTile()) {
                byte[] bytes = new byte[Math.toIntExact(tensor.bytes())];
                Arrays.fill(bytes, (byte) 0xFF);
                tensor.buffer()
                        .write(
                                tensor.byteOffset(),
                                ByteBuffer.wrap(
                                        operand.role() == Operand.Role.OUTPUT ? bytes : opCase.bytes(operand.name())));
            } else if (operand.role() == Operand.Role.OUTPUT) {
                float[] poison = new float[operand.elements()];
                Arrays.fill(poison, POISON);
                tensor.write(poison);
            } else {
                tensor.write(opCase.floats(operand.name()));
            }
        }
        if (workspace != null) {
            byte[] poison = new byte[Math.toIntExact(workspace.bytes())];
            Arrays.fill(poison, (byte) 0xFF);
            workspace.buffer().write(workspace.byteOffset(), ByteBuffer.wrap(poison));
        }
    }

    /** What the op wrote, by operand. */
    public Map<String, float[]> results() {
        Map<String, float[]> results = new LinkedHashMap<>();
        for (Operand operand : opCase.operands()) {
            if (operand.role() != Operand.Role.INPUT) {
                results.put(operand.name(), PackedWeights.numbers(get(operand.name())));
            }
        }
        return results;
    }

    /** @throws AssertionError if an input changed */
    public void checkInputs() {
        for (Operand operand : opCase.operands()) {
            if (operand.role() != Operand.Role.INPUT) {
                continue;
            }
            if (operand.dtype().isTile()) {
                int index = Arrays.mismatch(opCase.bytes(operand.name()), PackedWeights.bytes(get(operand.name())));
                if (index >= 0) {
                    throw new AssertionError(
                            opCase + ": the op changed its input " + operand.name() + " at byte " + index);
                }
                continue;
            }
            int[] before = operand.dtype() == DType.I32
                    ? opCase.ints(operand.name())
                    : bits(operand.rounded(opCase.floats(operand.name())));
            Tensor tensor = get(operand.name());
            int[] after = operand.dtype() == DType.I32 ? tensor.toInts() : bits(tensor.toFloats());
            int index = Arrays.mismatch(before, after);
            if (index >= 0) {
                throw new AssertionError(
                        opCase + ": the op changed its input " + operand.name() + " at index " + index);
            }
        }
    }

    static int[] bits(float[] values) {
        int[] bits = new int[values.length];
        for (int i = 0; i < bits.length; i++) {
            bits[i] = Float.floatToRawIntBits(values[i]);
        }
        return bits;
    }

    /** @throws AssertionError if something was written before or after an operand or the workspace */
    public void checkGuards() {
        for (Tensor tensor : tensors.values()) {
            checkGuards(tensor);
        }
        if (workspace != null) {
            checkGuards(workspace);
        }
    }

    private void checkGuards(Tensor tensor) {
        long end = tensor.byteOffset() + tensor.bytes();
        checkGuard(tensor, 0, (int) tensor.byteOffset(), "before its start", tensor.byteOffset());
        checkGuard(tensor, end, (int) (tensor.buffer().bytes() - end), "after its end", end);
    }

    private void checkGuard(Tensor tensor, long offset, int length, String where, long edge) {
        ByteBuffer zone = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        tensor.buffer().read(offset, zone);
        for (int i = 0; i < length; i++) {
            if (zone.get(i) != GUARD) {
                throw new AssertionError(opCase + ": the op wrote outside " + tensor + ", "
                        + Math.abs(offset + i - edge) + " bytes " + where);
            }
        }
    }

    @Override
    public void close() {
        scope.close();
    }
}
