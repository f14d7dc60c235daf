package org.licorne.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.BufferAllocator;

/** Memory for these tests: plain Java arrays, so that they need no backend. */
final class HeapAllocator implements BufferAllocator {
    @Override
    public Buffer allocate(String name, long bytes) {
        return new HeapBuffer(name, ByteBuffer.allocate(Math.toIntExact(bytes)).order(ByteOrder.LITTLE_ENDIAN));
    }

    private static final class HeapBuffer extends Buffer {
        private final ByteBuffer memory;

        HeapBuffer(String name, ByteBuffer memory) {
            super(name, memory.capacity());
            this.memory = memory;
        }

        @Override
        public void read(long offset, ByteBuffer destination) {
            destination.put(view(offset, destination.remaining()));
        }

        @Override
        public void write(long offset, ByteBuffer source) {
            view(offset, source.remaining()).put(source);
        }

        @Override
        public ByteBuffer view(long offset, int length) {
            checkRange(offset, length);
            return memory.slice((int) offset, length).order(ByteOrder.LITTLE_ENDIAN);
        }

        @Override
        public boolean hostAccessible() {
            return true;
        }

        @Override
        protected void free() {}
    }
}
