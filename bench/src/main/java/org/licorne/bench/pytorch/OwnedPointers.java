package org.licorne.bench.pytorch;

import java.util.ArrayDeque;
import java.util.Deque;
import org.bytedeco.javacpp.Pointer;

/** Pointers that outlive the {@link org.bytedeco.javacpp.PointerScope} they were made in, until this is closed. */
public final class OwnedPointers implements AutoCloseable {
    private final Deque<Pointer> pointers = new ArrayDeque<>();

    /** Takes the pointer over from the scope it was made in. */
    public <P extends Pointer> P keep(P pointer) {
        pointer.retainReference();
        pointers.push(pointer);
        return pointer;
    }

    /** Idempotent. */
    @Override
    public void close() {
        while (!pointers.isEmpty()) {
            pointers.pop().releaseReference();
        }
    }
}
