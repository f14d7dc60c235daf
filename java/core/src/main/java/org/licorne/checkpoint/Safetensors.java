package org.licorne.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.Float16;
import org.licorne.tensor.Shapes;
import org.licorne.tensor.Tensor;

/**
 * The tensors of a safetensors file, or of several that belong together through {@code model.safetensors.index.json}.
 * Headers are checked when it is opened; data is memory-mapped and read only when asked for. Whoever opens it closes
 * it: reads are refused from then on, and the mappings go with the next garbage collection. Thread-safe.
 */
public final class Safetensors implements AutoCloseable {
    /** Name of an unsharded model in its directory. */
    public static final String FILE_NAME = "model.safetensors";
    /** Name of the index of a sharded model. */
    public static final String INDEX_NAME = "model.safetensors.index.json";

    private static final long SEGMENT_BYTES = 1L << 30;
    private static final int CHUNK_BYTES = 1 << 22;

    private final Path path;
    private final Map<String, TensorEntry> entries = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private volatile Map<Path, MappedByteBuffer[]> mappings = new HashMap<>();

    private Safetensors(Path path) {
        this.path = path;
    }

    /**
     * Opens a {@code .safetensors} file, an index ({@code .json}), or a directory that holds {@link #FILE_NAME} or
     * {@link #INDEX_NAME}.
     *
     * @throws CheckpointException if a file is missing, damaged or does not keep to the format
     */
    public static Safetensors open(Path path) {
        Path file = Files.isDirectory(path) ? inDirectory(path) : path;
        Safetensors tensors = new Safetensors(file);
        if (file.getFileName().toString().endsWith(".json")) {
            tensors.openIndex(file);
        } else {
            SafetensorsHeader header = tensors.openFile(file);
            header.entries().forEach(entry -> tensors.entries.put(entry.name(), entry));
        }
        return tensors;
    }

    private static Path inDirectory(Path directory) {
        Path file = directory.resolve(FILE_NAME);
        Path index = directory.resolve(INDEX_NAME);
        if (Files.exists(file)) {
            return file;
        }
        if (Files.exists(index)) {
            return index;
        }
        throw new CheckpointException(
                directory,
                "there is neither " + FILE_NAME + " nor " + INDEX_NAME + " in this directory",
                "Name the directory of a model; weights in other formats must be converted to safetensors first");
    }

    private SafetensorsHeader openFile(Path file) {
        if (Files.isDirectory(file)) {
            throw new CheckpointException(file, "this is a directory and not a safetensors file", null);
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            SafetensorsHeader header = SafetensorsHeader.read(file, channel);
            long size = channel.size();
            int count = Math.toIntExact((size + SEGMENT_BYTES - 1) / SEGMENT_BYTES);
            MappedByteBuffer[] segments = new MappedByteBuffer[count];
            for (int i = 0; i < segments.length; i++) {
                long from = i * SEGMENT_BYTES;
                segments[i] = channel.map(FileChannel.MapMode.READ_ONLY, from, Math.min(SEGMENT_BYTES, size - from));
            }
            mappings.put(file, segments);
            metadata.putAll(header.metadata());
            return header;
        } catch (IOException e) {
            throw Storage.failure(file, "cannot be read", e);
        }
    }

    private void openIndex(Path index) {
        JsonNode weights = StrictJson.readObject(index).path("weight_map");
        if (!weights.isObject() || weights.isEmpty()) {
            throw new CheckpointException(index, "'weight_map' is missing or empty", "Get the file again");
        }
        Map<String, Map<String, TensorEntry>> shards = new HashMap<>();
        weights.fields().forEachRemaining(item -> {
            String name = item.getKey();
            String shard = item.getValue().asText();
            if (!item.getValue().isTextual() || !shard.matches("[\\w.-]+") || shard.startsWith(".")) {
                throw new CheckpointException(
                        index,
                        name,
                        -1,
                        "its shard " + CheckpointException.quote(shard)
                                + " is not the plain name of a file beside the index",
                        null,
                        null);
            }
            Map<String, TensorEntry> inShard = shards.computeIfAbsent(shard, key -> {
                Map<String, TensorEntry> found = new HashMap<>();
                openFile(index.resolveSibling(key)).entries().forEach(entry -> found.put(entry.name(), entry));
                return found;
            });
            TensorEntry entry = inShard.get(name);
            if (entry == null) {
                throw new CheckpointException(
                        index.resolveSibling(shard),
                        name,
                        -1,
                        "the index says that this file holds the tensor, but it does not",
                        "Get the shards again",
                        null);
            }
            entries.put(name, entry);
        });
    }

    /** The file or index that was opened. */
    public Path path() {
        return path;
    }

    /** Names of all tensors, in the order of the header or index. */
    public Set<String> names() {
        return Collections.unmodifiableSet(entries.keySet());
    }

    public boolean contains(String name) {
        return entries.containsKey(name);
    }

    /** The {@code __metadata__} of the file, or of all shards together. */
    public Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    /** @throws CheckpointException if there is no tensor of that name */
    public TensorEntry entry(String name) {
        TensorEntry entry = entries.get(name);
        if (entry == null) {
            throw new CheckpointException(
                    path, name, -1, "the tensor is missing; the file has " + some(entries.keySet()), null, null);
        }
        return entry;
    }

    private static String some(Set<String> names) {
        StringBuilder text = new StringBuilder().append(names.size()).append(" tensors");
        String separator = ": ";
        for (String name : new TreeSet<>(names)) {
            if (text.length() > 200) {
                return text.append(", …").toString();
            }
            text.append(separator).append(CheckpointException.quote(name));
            separator = ", ";
        }
        return text.toString();
    }

    /** Copies {@code destination.remaining()} raw bytes of a tensor, from {@code offset} within it. */
    public void read(String name, long offset, ByteBuffer destination) {
        TensorEntry entry = entry(name);
        checkRange(entry, offset, destination.remaining());
        while (destination.hasRemaining()) {
            ByteBuffer slice = slice(entry, offset, destination.remaining());
            offset += slice.remaining();
            destination.put(slice);
        }
    }

    /** Reads {@code count} elements of an F32, F16 or BF16 tensor as floats, in row-major order. */
    public void read(String name, long firstElement, float[] destination, int from, int count) {
        TensorEntry entry = entry(name);
        if (!entry.type().readsAsFloat()) {
            throw entry.error(
                    "its type is " + entry.type() + ", but only F32, F16 and BF16 can be read as numbers", null);
        }
        int width = entry.type().bytes();
        checkRange(entry, Math.multiplyExact(firstElement, width), (long) count * width);
        for (int done = 0; done < count; ) {
            ByteBuffer slice = slice(entry, (firstElement + done) * width, (long) (count - done) * width);
            int now = slice.remaining() / width;
            if (now == 0) { // an element across two segments; headers need not be aligned
                slice = ByteBuffer.allocate(width).order(ByteOrder.LITTLE_ENDIAN);
                read(name, (firstElement + done) * width, slice);
                slice.flip();
                now = 1;
            }
            convert(entry.type(), slice, destination, from + done, now);
            done += now;
        }
    }

    private static void convert(ElementType type, ByteBuffer bytes, float[] destination, int from, int count) {
        int start = bytes.position();
        switch (type) {
            case F32 -> bytes.asFloatBuffer().get(destination, from, count);
            case BF16 -> {
                for (int i = 0; i < count; i++) {
                    destination[from + i] = BFloat16.toFloat(bytes.getShort(start + 2 * i));
                }
            }
            case F16 -> {
                for (int i = 0; i < count; i++) {
                    destination[from + i] = Float16.toFloat(bytes.getShort(start + 2 * i));
                }
            }
            default -> throw new IllegalArgumentException(type + " is not a floating-point type that can be read");
        }
    }

    /**
     * Copies a tensor into memory of the same shape, in bounded pieces. Equal types are copied bit by bit, straight
     * from the mapping; otherwise floats are converted.
     *
     * @throws CheckpointException if the shapes differ or the type cannot be converted
     */
    public void copyTo(String name, Tensor destination) {
        TensorEntry entry = entry(name);
        requireShape(entry, destination.shape());
        if (entry.type().name().equals(destination.dtype().name())) {
            copyBytes(name, destination);
            return;
        }
        float[] chunk = new float[(int) Math.min(entry.elements(), CHUNK_BYTES / Float.BYTES)];
        for (long done = 0; done < entry.elements(); ) {
            int now = (int) Math.min(chunk.length, entry.elements() - done);
            read(name, done, chunk, 0, now);
            destination.write(done, chunk, 0, now);
            done += now;
        }
    }

    /** Copies a tensor's bytes straight from the mapping into memory of as many bytes, whatever its type and shape. */
    void copyBytes(String name, Tensor destination) {
        TensorEntry entry = entry(name);
        if (entry.bytes() != destination.bytes()) {
            throw new IllegalArgumentException(
                    "tensor '" + name + "' has " + entry.bytes() + " bytes, but its memory " + destination.bytes());
        }
        for (long done = 0; done < entry.bytes(); ) {
            ByteBuffer slice = slice(entry, done, CHUNK_BYTES);
            int now = slice.remaining();
            destination.buffer().write(destination.byteOffset() + done, slice);
            done += now;
        }
    }

    static void requireShape(TensorEntry entry, long... wanted) {
        boolean equal = entry.shape().size() == wanted.length;
        for (int i = 0; equal && i < wanted.length; i++) {
            equal = entry.shape().get(i) == wanted[i];
        }
        if (!equal) {
            throw entry.error("its shape is " + entry.shapeText() + " and should be " + Shapes.toString(wanted), null);
        }
    }

    private static void checkRange(TensorEntry entry, long offset, long length) {
        if (offset < 0 || length < 0 || offset > entry.bytes() - length) {
            throw new IndexOutOfBoundsException("bytes " + offset + " to " + (offset + length) + " of tensor "
                    + CheckpointException.quote(entry.name()) + " with " + entry.bytes() + " bytes");
        }
    }

    /** A little-endian view of at most {@code most} bytes of the tensor; shorter where it or its segment ends. */
    private ByteBuffer slice(TensorEntry entry, long offset, long most) {
        Map<Path, MappedByteBuffer[]> open = mappings;
        if (open == null) {
            throw new IllegalStateException(path + " is closed");
        }
        long position = entry.fileOffset() + offset;
        int within = (int) (position % SEGMENT_BYTES);
        long length = Math.min(Math.min(most, entry.bytes() - offset), SEGMENT_BYTES - within);
        MappedByteBuffer segment = open.get(entry.file())[(int) (position / SEGMENT_BYTES)];
        return segment.slice(within, (int) length).order(ByteOrder.LITTLE_ENDIAN);
    }

    @Override
    public void close() {
        mappings = null;
    }
}
