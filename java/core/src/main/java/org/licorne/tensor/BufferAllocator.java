package org.licorne.tensor;

/** Hands out zero-filled memory, aligned to at least 64 bytes. */
public interface BufferAllocator {
    /** @param name stands in error messages */
    Buffer allocate(String name, long bytes);
}
