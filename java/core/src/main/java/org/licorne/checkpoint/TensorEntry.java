package org.licorne.checkpoint;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What a safetensors header says about one tensor. Immutable.
 *
 * @param file the file that holds it
 * @param fileOffset where its first byte lies in the file
 * @param bytes its size
 */
public record TensorEntry(String name, ElementType type, List<Long> shape, Path file, long fileOffset, long bytes) {
    public TensorEntry {
        shape = List.copyOf(shape);
    }

    /** Number of elements. */
    public long elements() {
        return bytes / type.bytes();
    }

    /** The shape as {@code (8,50257)}. */
    public String shapeText() {
        return shape.stream().map(String::valueOf).collect(Collectors.joining(",", "(", ")"));
    }

    CheckpointException error(String problem, String remedy) {
        return new CheckpointException(file, name, fileOffset, problem, remedy, null);
    }
}
