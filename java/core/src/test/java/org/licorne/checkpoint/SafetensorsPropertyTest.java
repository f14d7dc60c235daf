package org.licorne.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.licorne.model.GptConfig;
import org.licorne.tensor.DType;
import org.licorne.tensor.Shapes;

/** Files as they come, and files that somebody has tampered with. */
class SafetensorsPropertyTest {
    /** Far below what a lying header could ask for, far above what a parser needs for a small file. */
    private static final long MOST_ALLOCATED_BYTES = 8 << 20;

    /** Hundreds of files need not outlive a power cut. */
    private static final Storage UNFORCED = new Storage() {
        @Override
        void force(FileChannel channel) {}

        @Override
        void forceDirectory(Path forced) {}
    };

    private static Path directory;

    @BeforeContainer
    static void createDirectory() throws IOException {
        directory = Files.createTempDirectory("safetensors");
    }

    @AfterContainer
    static void deleteDirectory() throws IOException {
        new Storage().delete(directory);
    }

    private record Content(ElementType type, long[] shape, byte[] bytes) {}

    @Provide
    Arbitrary<Map<String, Content>> contents() {
        Arbitrary<long[]> shapes =
                Arbitraries.longs().between(0, 5).array(long[].class).ofMaxSize(4);
        Arbitrary<Content> content = Combinators.combine(
                        Arbitraries.of(ElementType.class), shapes, Arbitraries.randomValue(random -> random))
                .as((type, shape, random) -> {
                    byte[] bytes = new byte[(int) Shapes.elements(shape) * type.bytes()];
                    random.nextBytes(bytes);
                    return new Content(type, shape, bytes);
                });
        Arbitrary<String> names = Arbitraries.oneOf(
                        Arbitraries.strings()
                                .alpha()
                                .numeric()
                                .withChars("._-/")
                                .ofMinLength(1)
                                .ofMaxLength(20),
                        Arbitraries.strings().ofMaxLength(8))
                // JSON text is UTF-8, which has no lone halves of characters
                .filter(name -> StandardCharsets.UTF_8.newEncoder().canEncode(name) && !name.equals("__metadata__"));
        return Arbitraries.maps(names, content).ofMaxSize(6);
    }

    @Property(tries = 250)
    void readsWhatWasWritten(@ForAll("contents") Map<String, Content> contents, @ForAll boolean sorted) {
        Path file = directory.resolve("round.safetensors");
        SafetensorsWriter writer = new SafetensorsWriter().metadata("kéy", "\"\n");
        contents.forEach((name, content) ->
                writer.add(name, content.type, content.shape, sink -> sink.bytes(ByteBuffer.wrap(content.bytes))));
        (sorted ? writer.sortedByName() : writer).write(UNFORCED, file);
        try (Safetensors tensors = Safetensors.open(file)) {
            List<String> order = new ArrayList<>(sorted ? new TreeMap<>(contents).keySet() : contents.keySet());
            assertThat(new ArrayList<>(tensors.names())).isEqualTo(order);
            assertThat(tensors.metadata()).isEqualTo(Map.of("kéy", "\"\n"));
            contents.forEach((name, content) -> {
                TensorEntry entry = tensors.entry(name);
                assertThat(entry.type()).isEqualTo(content.type);
                assertThat(entry.shape().stream().mapToLong(Long::longValue).toArray())
                        .isEqualTo(content.shape);
                byte[] bytes = new byte[content.bytes.length];
                tensors.read(name, 0, ByteBuffer.wrap(bytes));
                assertThat(bytes).isEqualTo(content.bytes);
            });
        }
    }

    @Property(tries = 800)
    void survivesTampering(
            @ForAll @IntRange(min = 0, max = 6) int kind, @ForAll @IntRange(max = 400) int at, @ForAll byte value)
            throws IOException {
        byte[] file = wellFormed();
        int position = at % file.length;
        byte[] tampered = switch (kind) {
            case 0 -> Arrays.copyOf(file, position);
            case 1 -> Arrays.copyOf(file, file.length + 1 + position);
            case 2 -> without(file, position);
            case 3 -> with(file, position, value);
            case 4 -> flipped(file, position, 1 << (value & 7));
            case 5 -> replaced(file, position, value);
            default -> replaced(file, position % 8, value); // the header's length
        };
        readOrRefuse(tampered);
    }

    @Provide
    Arbitrary<String> headers() {
        Arbitrary<String> numbers = Arbitraries.of(
                "0",
                "1",
                "2",
                "4",
                "8",
                "16",
                "-1",
                "-0",
                "1e2",
                "0.5",
                "2147483648",
                "9223372036854775807",
                "9223372036854775808",
                "-9223372036854775809",
                "18446744073709551616",
                "null",
                "\"4\"",
                "[]",
                "{}");
        Arbitrary<String> lists = numbers.list().ofMaxSize(4).map(items -> "[" + String.join(",", items) + "]");
        Arbitrary<String> types =
                Arbitraries.of("\"F32\"", "\"U8\"", "\"BF16\"", "\"F64\"", "\"f32\"", "\"\"", "4", "null");
        Arbitrary<String> fields = Arbitraries.oneOf(
                types.map(type -> "\"dtype\":" + type),
                lists.map(list -> "\"shape\":" + list),
                lists.map(list -> "\"data_offsets\":" + list),
                lists.map(list -> "\"other\":" + list));
        Arbitrary<String> whole = Combinators.combine(types, lists, lists)
                .as((type, shape, offsets) ->
                        "{\"dtype\":" + type + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}");
        Arbitrary<String> values = Arbitraries.oneOf(
                whole, fields.list().ofMaxSize(4).map(items -> "{" + String.join(",", items) + "}"), lists, numbers);
        Arbitrary<String> names = Arbitraries.of("a", "b", "\\u0061", "__metadata__", "", "\\ud800", "\\u0000");
        return Combinators.combine(names, values)
                .as((name, value) -> "\"" + name + "\":" + value)
                .list()
                .ofMaxSize(4)
                .map(items -> "{" + String.join(",", items) + "}");
    }

    @Property(tries = 800)
    void survivesHeadersThatLie(@ForAll("headers") String header, @ForAll @IntRange(max = 20) int dataBytes)
            throws IOException {
        readOrRefuse(file(header, dataBytes));
    }

    @Property(tries = 250)
    void survivesConfigurationsThatWereTamperedWith(
            @ForAll @IntRange(min = 0, max = 3) int kind, @ForAll @IntRange(max = 600) int at, @ForAll byte value)
            throws IOException {
        byte[] json = Gpt2Config.bytes(new GptConfig(11, 5, 6, 2, 3), DType.F32, 10);
        int position = at % json.length;
        byte[] tampered = switch (kind) {
            case 0 -> Arrays.copyOf(json, position);
            case 1 -> without(json, position);
            case 2 -> with(json, position, value);
            default -> replaced(json, position, value);
        };
        Path file = Files.write(directory.resolve("config.json"), tampered);
        try {
            assertThat(Gpt2Config.read(file)).isNotNull();
        } catch (CheckpointException e) {
            assertThat(e).hasMessageContaining("config.json");
        }
    }

    @Property(tries = 200)
    void transposesAnyMatrix(@ForAll @IntRange(max = 70) int rows, @ForAll @IntRange(max = 70) int columns)
            throws IOException {
        float[] result = new float[rows * columns];
        int[] written = {0};
        Transposition.transpose(
                (first, destination, from, count) -> {
                    for (int i = 0; i < count; i++) {
                        destination[from + i] = first + i;
                    }
                },
                rows,
                columns,
                (values, from, count) -> {
                    System.arraycopy(values, from, result, written[0], count);
                    written[0] += count;
                });
        assertThat(written[0]).isEqualTo(rows * columns);
        for (int i = 0; i < result.length; i++) {
            assertThat(result[i]).isEqualTo((float) (i % Math.max(1, rows) * columns + i / Math.max(1, rows)));
        }
    }

    /** Either a clear refusal that names the file, or tensors that can be read to the last byte. */
    private static void readOrRefuse(byte[] content) throws IOException {
        Path file = Files.write(directory.resolve("tampered.safetensors"), content);
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();
        try (Safetensors tensors = Safetensors.open(file)) {
            for (String name : tensors.names()) {
                TensorEntry entry = tensors.entry(name);
                tensors.read(name, 0, ByteBuffer.allocate((int) entry.bytes()));
                if (entry.type().readsAsFloat()) {
                    int elements = (int) entry.elements();
                    tensors.read(name, 0, new float[elements], 0, elements);
                }
            }
        } catch (CheckpointException e) {
            assertThat(e).hasMessageContaining("tampered.safetensors");
        }
        assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(MOST_ALLOCATED_BYTES);
    }

    private static byte[] wellFormed() {
        return file(
                "{\"__metadata__\":{\"format\":\"pt\"},"
                        + "\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
                        + "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[8,14]},"
                        + "\"c\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[14,16]}}",
                16);
    }

    private static byte[] file(String header, int dataBytes) {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(8 + json.length + dataBytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(json.length)
                .put(json)
                .array();
    }

    private static byte[] without(byte[] bytes, int position) {
        byte[] result = Arrays.copyOf(bytes, bytes.length - 1);
        System.arraycopy(bytes, position + 1, result, position, bytes.length - position - 1);
        return result;
    }

    private static byte[] with(byte[] bytes, int position, byte value) {
        byte[] result = Arrays.copyOf(bytes, bytes.length + 1);
        System.arraycopy(bytes, position, result, position + 1, bytes.length - position);
        result[position] = value;
        return result;
    }

    private static byte[] flipped(byte[] bytes, int position, int mask) {
        return replaced(bytes, position, (byte) (bytes[position] ^ mask));
    }

    private static byte[] replaced(byte[] bytes, int position, byte value) {
        byte[] result = bytes.clone();
        result[position] = value;
        return result;
    }
}
