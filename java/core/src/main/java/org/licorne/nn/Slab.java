package org.licorne.nn;

import java.nio.ByteBuffer;
import java.util.function.Function;
import org.licorne.backend.Kernels;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Shapes;
import org.licorne.tensor.Tensor;

/**
 * One large buffer that tensors are laid out in, one after the other, each on a 64-byte boundary. The same layout code
 * runs twice: on a slab without memory, which only measures, and on the one that was then allocated. So what a model
 * will need is known before anything is taken. Not thread-safe; the {@link MemoryScope} owns the buffer.
 */
public final class Slab {
    /** Alignment of every tensor: a cache line, and the widest vector register. */
    public static final int ALIGNMENT = 64;

    private final Buffer buffer;
    private final DType activations;
    private long used;
    private long extent;

    private Slab(Buffer buffer, DType activations) {
        this.buffer = buffer;
        this.activations = activations;
    }

    /** Bytes that the layout takes; nothing is allocated. @param activations what {@link #activations} makes */
    public static long measure(DType activations, Function<Slab, ?> layout) {
        Slab slab = new Slab(new NoMemory(), activations);
        layout.apply(slab);
        slab.advance();
        return slab.used;
    }

    /** Measures the layout, allocates that much in the scope, and returns what the layout makes of it. */
    public static <T> T allocate(MemoryScope scope, String name, DType activations, Function<Slab, T> layout) {
        long bytes = Math.max(1, measure(activations, layout));
        return layout.apply(new Slab(scope.allocate(name, bytes), activations));
    }

    /** Lays out anew over memory that is there already; what it held before is still in it. */
    public static Slab over(Buffer buffer, DType activations) {
        return new Slab(buffer, activations);
    }

    /** What kernels keep activations in; F32 where none are given, to estimate. */
    public static DType activationsOf(Kernels kernels) {
        return kernels == null ? DType.F32 : kernels.activationType();
    }

    /** The next tensor; zero-filled as long as nobody has written to it. */
    public Tensor tensor(String name, DType dtype, long... shape) {
        Shapes.check(name, shape);
        Tensor tensor = Tensor.of(name, buffer, used, dtype, shape);
        used = Math.addExact(used, aligned(tensor.bytes()));
        return tensor;
    }

    /** The next tensor of activations, or of their gradients. */
    public Tensor activations(String name, long... shape) {
        return tensor(name, activations, shape);
    }

    /** What {@link #activations} makes. */
    public DType activationType() {
        return activations;
    }

    public Tensor floats(String name, long... shape) {
        return tensor(name, DType.F32, shape);
    }

    public Tensor ints(String name, long... shape) {
        return tensor(name, DType.I32, shape);
    }

    /** Workspace of that many bytes, or null for none, as the ops want it. */
    public Tensor workspace(String name, long bytes) {
        return bytes == 0 ? null : tensor(name, DType.U8, bytes);
    }

    /** Where the next tensor will lie, in bytes from the start. */
    public long bytes() {
        return used;
    }

    /**
     * Lays out over what came after that place, for tensors that are never in use at the same time as those; {@link
     * #advance} ends it.
     */
    public void rewind(long place) {
        extent = Math.max(extent, used);
        used = place;
    }

    /** Goes on behind everything that was laid out so far. */
    public void advance() {
        used = Math.max(extent, used);
    }

    /** The next multiple of {@link #ALIGNMENT}. */
    public static long aligned(long bytes) {
        return Math.addExact(bytes, ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** Stands for a buffer of any size while measuring. */
    private static final class NoMemory extends Buffer {
        NoMemory() {
            super("measuring", Long.MAX_VALUE);
        }

        @Override
        public void read(long offset, ByteBuffer destination) {
            throw new UnsupportedOperationException("a slab that only measures holds nothing");
        }

        @Override
        public void write(long offset, ByteBuffer source) {
            throw new UnsupportedOperationException("a slab that only measures holds nothing");
        }

        @Override
        public ByteBuffer view(long offset, int length) {
            throw new UnsupportedOperationException("a slab that only measures holds nothing");
        }

        @Override
        public boolean hostAccessible() {
            return false;
        }

        @Override
        protected void free() {}
    }
}
