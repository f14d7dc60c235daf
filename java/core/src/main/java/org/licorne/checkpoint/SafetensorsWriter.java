package org.licorne.checkpoint;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.Shapes;
import org.licorne.tensor.Tensor;

/**
 * Writes a safetensors file: tensors are added first, then {@link #write} streams them. Memory is one small buffer,
 * whatever the size of the model. Not thread-safe; owns nothing that needs closing.
 */
public final class SafetensorsWriter {
    private static final int ALIGNMENT = 64;
    private static final int BUFFER_BYTES = 1 << 20;

    private final Map<String, Item> items = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private boolean sorted;

    /** Gives a tensor's elements in row-major order. */
    @FunctionalInterface
    public interface Source {
        /** Calls the sink until all elements were given. */
        void writeTo(Sink sink) throws IOException;
    }

    /** Takes the elements of one tensor, one piece after the other. */
    public interface Sink {
        /** The next elements of an F32 or BF16 tensor; rounded to nearest-even for BF16. */
        void floats(float[] values, int from, int count) throws IOException;

        /** The next little-endian bytes of a tensor of any type. */
        void bytes(ByteBuffer bytes) throws IOException;
    }

    private record Item(String name, ElementType type, long[] shape, long bytes, Source source) {}

    /** One pair for {@code __metadata__}. */
    public SafetensorsWriter metadata(String key, String value) {
        metadata.put(key, value);
        return this;
    }

    /** Writes tensors in the order of their names, instead of the order in which they were added. */
    public SafetensorsWriter sortedByName() {
        sorted = true;
        return this;
    }

    /** @param type F32, BF16, or any type whose source gives bytes */
    public SafetensorsWriter add(String name, ElementType type, long[] shape, Source source) {
        Shapes.check(name, shape);
        if (name.equals(SafetensorsHeader.METADATA)) {
            throw new IllegalArgumentException("a tensor cannot be called " + name);
        }
        long bytes = Math.multiplyExact(Shapes.elements(shape), type.bytes());
        if (items.put(name, new Item(name, type, shape.clone(), bytes, source)) != null) {
            throw new IllegalArgumentException("two tensors are called '" + name + "'");
        }
        return this;
    }

    /** Adds a tensor as it is, bit by bit; it must stay open until {@link #write}. */
    public SafetensorsWriter add(String name, Tensor tensor) {
        return addBytes(name, ElementType.of(tensor.dtype()), tensor.shape(), tensor);
    }

    /** The same under another type and shape of as many bytes. */
    SafetensorsWriter addBytes(String name, ElementType type, long[] shape, Tensor tensor) {
        return add(name, type, shape, sink -> {
            ByteBuffer chunk = ByteBuffer.allocate((int) Math.min(BUFFER_BYTES, tensor.bytes()));
            for (long done = 0; done < tensor.bytes(); ) {
                chunk.clear().limit((int) Math.min(chunk.capacity(), tensor.bytes() - done));
                tensor.buffer().read(tensor.byteOffset() + done, chunk);
                chunk.flip();
                done += chunk.remaining();
                sink.bytes(chunk);
            }
        });
    }

    /** Adds a float tensor that is rounded to {@code type}, F32 or BF16, on the way. */
    public SafetensorsWriter add(String name, ElementType type, Tensor tensor) {
        if (type == ElementType.of(tensor.dtype())) {
            return add(name, tensor);
        }
        return add(name, type, tensor.shape(), sink -> {
            float[] chunk = new float[(int) Math.min(BUFFER_BYTES / Float.BYTES, tensor.elements())];
            for (long done = 0; done < tensor.elements(); ) {
                int now = (int) Math.min(chunk.length, tensor.elements() - done);
                tensor.read(done, chunk, 0, now);
                sink.floats(chunk, 0, now);
                done += now;
            }
        });
    }

    /**
     * Writes the file aside, waits until it is on the disk, and only then gives it its name: whoever opens the name
     * finds the old file or the whole new one.
     *
     * @throws CheckpointException if the disk is full, permission is denied or writing fails otherwise; what was there
     *     before is then still there
     */
    public void write(Path file) {
        write(Storage.DISK, file);
    }

    void write(Storage storage, Path file) {
        Path aside = file.resolveSibling("." + file.getFileName() + ".writing");
        try {
            try {
                writeTo(storage, aside);
                storage.move(aside, file);
            } catch (IOException | RuntimeException e) {
                try {
                    storage.delete(aside);
                } catch (IOException suppressed) {
                    e.addSuppressed(suppressed);
                }
                throw e;
            }
            storage.forceDirectory(file.toAbsolutePath().getParent());
        } catch (IOException e) {
            throw Storage.failure(file, "cannot be written", e);
        }
    }

    /**
     * CRC-32C of what was written.
     *
     * @param file of the whole file
     * @param tensors of each tensor's bytes, by name
     */
    record Checksums(long file, Map<String, Long> tensors) {}

    /** Writes the file under its name and waits until it is on the disk. */
    Checksums writeTo(Storage storage, Path file) throws IOException {
        try (FileChannel channel = storage.create(file)) {
            Output output = new Output(storage, channel);
            Map<String, Long> checksums = new LinkedHashMap<>();
            output.bytes(ByteBuffer.wrap(header()));
            output.flush();
            for (Item item : ordered()) {
                long end = output.position + item.bytes;
                output.type = item.type;
                output.tensorChecksum.reset();
                item.source.writeTo(output);
                output.flush();
                checksums.put(item.name, output.tensorChecksum.getValue());
                if (output.position != end) {
                    throw new IllegalStateException("tensor '" + item.name + "' needs " + item.bytes
                            + " bytes, but got " + (item.bytes + output.position - end));
                }
            }
            storage.force(channel);
            return new Checksums(output.checksum.getValue(), checksums);
        }
    }

    private Collection<Item> ordered() {
        return sorted ? new TreeMap<>(items).values() : items.values();
    }

    private byte[] header() {
        ObjectNode root = JsonNodeFactory.instance.objectNode();
        if (!metadata.isEmpty()) {
            ObjectNode pairs = root.putObject(SafetensorsHeader.METADATA);
            metadata.forEach(pairs::put);
        }
        long offset = 0;
        for (Item item : ordered()) {
            ObjectNode node = root.putObject(item.name).put("dtype", item.type.name());
            ArrayNode shape = node.putArray("shape");
            Arrays.stream(item.shape).forEach(shape::add);
            node.putArray("data_offsets").add(offset).add(offset + item.bytes);
            offset = Math.addExact(offset, item.bytes);
        }
        byte[] json = root.toString().getBytes(StandardCharsets.UTF_8);
        int length = (json.length + SafetensorsHeader.LENGTH_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
                - SafetensorsHeader.LENGTH_BYTES;
        if (length > SafetensorsHeader.LARGEST_HEADER) {
            throw new IllegalStateException("the header would have " + length + " bytes, but "
                    + SafetensorsHeader.LARGEST_HEADER + " are the most that is allowed");
        }
        byte[] header = new byte[SafetensorsHeader.LENGTH_BYTES + length];
        Arrays.fill(header, (byte) ' ');
        ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN).putLong(length).put(json);
        return header;
    }

    /** Gathers small pieces into large writes, and their checksums. */
    private static final class Output implements Sink {
        private final Storage storage;
        private final FileChannel channel;
        private final CRC32C checksum = new CRC32C();
        private final CRC32C tensorChecksum = new CRC32C();
        private final ByteBuffer pending =
                ByteBuffer.allocateDirect(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        private ElementType type;
        private long position;

        Output(Storage storage, FileChannel channel) {
            this.storage = storage;
            this.channel = channel;
        }

        @Override
        public void floats(float[] values, int from, int count) throws IOException {
            if (type != ElementType.F32 && type != ElementType.BF16) {
                throw new IllegalArgumentException("floats cannot be written as " + type);
            }
            for (int done = 0; done < count; ) {
                if (pending.remaining() < type.bytes()) {
                    flush();
                }
                int now = Math.min(count - done, pending.remaining() / type.bytes());
                if (type == ElementType.F32) {
                    FloatBuffer floats = pending.asFloatBuffer();
                    floats.put(values, from + done, now);
                    pending.position(pending.position() + now * Float.BYTES);
                } else {
                    for (int i = 0; i < now; i++) {
                        pending.putShort(BFloat16.fromFloat(values[from + done + i]));
                    }
                }
                position += (long) now * type.bytes();
                done += now;
            }
        }

        @Override
        public void bytes(ByteBuffer bytes) throws IOException {
            position += bytes.remaining();
            while (bytes.hasRemaining()) {
                if (!pending.hasRemaining()) {
                    flush();
                }
                int now = Math.min(bytes.remaining(), pending.remaining());
                pending.put(pending.position(), bytes, bytes.position(), now);
                pending.position(pending.position() + now);
                bytes.position(bytes.position() + now);
            }
        }

        void flush() throws IOException {
            pending.flip();
            checksum.update(pending.duplicate());
            tensorChecksum.update(pending.duplicate());
            storage.write(channel, pending);
            pending.clear();
        }
    }
}
