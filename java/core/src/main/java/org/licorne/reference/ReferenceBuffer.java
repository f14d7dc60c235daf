package org.licorne.reference;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.ShortBuffer;
import org.licorne.tensor.Buffer;

/** Memory of the reference backend: one direct byte buffer. Closed by its scope; thread-safe as {@link Buffer} says. */
final class ReferenceBuffer extends Buffer {
    private final Runnable onFree;
    private ByteBuffer bytes;
    private FloatBuffer floats;
    private ShortBuffer halves;
    private IntBuffer ints;

    ReferenceBuffer(String name, ByteBuffer bytes, Runnable onFree) {
        super(name, bytes.capacity());
        this.onFree = onFree;
        this.bytes = bytes.order(ByteOrder.LITTLE_ENDIAN);
        this.floats = this.bytes.asFloatBuffer();
        this.halves = this.bytes.asShortBuffer();
        this.ints = this.bytes.asIntBuffer();
    }

    @Override
    public void read(long offset, ByteBuffer destination) {
        checkRange(offset, destination.remaining());
        acquire();
        try {
            destination.put(bytes.slice((int) offset, destination.remaining()));
        } finally {
            release();
        }
    }

    @Override
    public void write(long offset, ByteBuffer source) {
        checkRange(offset, source.remaining());
        acquire();
        try {
            bytes.put((int) offset, source, source.position(), source.remaining());
            source.position(source.limit());
        } finally {
            release();
        }
    }

    @Override
    public ByteBuffer view(long offset, int length) {
        checkRange(offset, length);
        acquire();
        try {
            return bytes.slice((int) offset, length).order(ByteOrder.nativeOrder());
        } finally {
            release();
        }
    }

    @Override
    public boolean hostAccessible() {
        return true;
    }

    /** The whole buffer; only between {@link #acquire} and {@link #release}. */
    FloatBuffer floats() {
        return floats;
    }

    ShortBuffer halves() {
        return halves;
    }

    IntBuffer ints() {
        return ints;
    }

    ByteBuffer bytesView() {
        return bytes;
    }

    /** The collector gives the memory back once no view is left; a view that outlives the buffer is thus harmless. */
    @Override
    protected void free() {
        bytes = null;
        floats = null;
        halves = null;
        ints = null;
        onFree.run();
    }
}
