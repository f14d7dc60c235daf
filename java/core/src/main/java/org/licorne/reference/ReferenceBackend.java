package org.licorne.reference;

import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * The backend in plain Java: slow, readable, and the specification of every op. Closed by whoever opened it; allocation
 * is thread-safe, ops come from one thread at a time.
 */
public final class ReferenceBackend implements Backend {
    private static final int ALIGNMENT = 64;
    private static final long MAXIMUM_BYTES = Integer.MAX_VALUE - 2 * ALIGNMENT;

    /** Bytes of open buffers of all reference backends: they share the JVM's direct memory. */
    private static final AtomicLong OPEN_BYTES = new AtomicLong();

    private final String name;
    private final Workers workers;
    private final Kernels kernels;
    private final Kernels halfKernels;

    /** @param threads that share the work; the results are the same bits for any number */
    public ReferenceBackend(String name, int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException(name + ": " + threads + " threads");
        }
        this.name = name;
        this.workers = new Workers(threads);
        this.kernels = new ReferenceKernels(workers, DType.F32);
        this.halfKernels = new ReferenceKernels(workers, DType.BF16);
    }

    /** The memory of a tensor, if it is of this kind of backend. */
    static ReferenceBuffer bufferOf(Tensor tensor) {
        if (tensor.buffer() instanceof ReferenceBuffer buffer) {
            return buffer;
        }
        throw new IllegalArgumentException(tensor.name() + " lies in buffer '"
                + tensor.buffer().name() + "', which is not memory of the reference backend");
    }

    /** Direct memory that this JVM may use. */
    private static long limitBytes() {
        for (String argument : ManagementFactory.getRuntimeMXBean().getInputArguments()) {
            if (argument.startsWith("-XX:MaxDirectMemorySize=")) {
                return parseSize(argument.substring(argument.indexOf('=') + 1));
            }
        }
        return Runtime.getRuntime().maxMemory();
    }

    private static long parseSize(String size) {
        int shift = "kmgt".indexOf(Character.toLowerCase(size.charAt(size.length() - 1)));
        String digits = shift < 0 ? size : size.substring(0, size.length() - 1);
        long bytes = Long.parseLong(digits) << 10 * (shift + 1);
        return bytes == 0 ? Runtime.getRuntime().maxMemory() : bytes;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String device() {
        return "Java " + Runtime.version().feature() + ", " + threads() + (threads() == 1 ? " thread" : " threads");
    }

    @Override
    public String instructionSet() {
        return "";
    }

    @Override
    public int threads() {
        return workers.threads();
    }

    @Override
    public Kernels kernels() {
        return kernels;
    }

    /**
     * The specification of kernels that keep activations and weights in that type, F32 or BF16; arithmetic is in double
     * precision either way. Models are not offered BF16 here: nothing is gained by storing less.
     */
    public Kernels specification(DType activations) {
        return activations == DType.BF16 ? halfKernels : kernels;
    }

    @Override
    public void synchronize() {
        // every op has finished when it returns
    }

    @Override
    public long availableBytes() {
        return Math.max(0, limitBytes() - OPEN_BYTES.get());
    }

    @Override
    public Buffer allocate(String bufferName, long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("buffer '" + bufferName + "': " + bytes + " bytes");
        }
        if (bytes > MAXIMUM_BYTES) {
            throw new IllegalArgumentException(String.format(
                    "buffer '%s' needs %,d MiB, but the reference backend's buffers end at 2 GiB; use a native backend",
                    bufferName, bytes >> 20));
        }
        long limit = limitBytes();
        long open = OPEN_BYTES.addAndGet(bytes);
        try {
            if (open > limit) {
                throw new OutOfDeviceMemoryException(
                        "buffer '" + bufferName + "' (the limit is set by -XX:MaxDirectMemorySize or -Xmx)",
                        bytes,
                        limit - (open - bytes),
                        limit);
            }
            ByteBuffer memory =
                    ByteBuffer.allocateDirect((int) bytes + 2 * ALIGNMENT).alignedSlice(ALIGNMENT);
            return new ReferenceBuffer(bufferName, memory.slice(0, (int) bytes), () -> OPEN_BYTES.addAndGet(-bytes));
        } catch (OutOfMemoryError e) {
            OPEN_BYTES.addAndGet(-bytes);
            throw new OutOfDeviceMemoryException(
                    "buffer '" + bufferName + "' (the limit is set by -XX:MaxDirectMemorySize or -Xmx)",
                    bytes,
                    Math.max(0, limit - (open - bytes)),
                    limit);
        } catch (RuntimeException e) {
            OPEN_BYTES.addAndGet(-bytes);
            throw e;
        }
    }

    /** Ends the threads; buffers belong to their scopes. Idempotent. */
    @Override
    public void close() {
        workers.close();
    }
}
