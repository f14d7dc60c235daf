package org.licorne.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.entry;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

class SafetensorsTest {
    private final Backend backend = Backends.open("reference");
    private final MemoryScope scope = new MemoryScope(backend, "test");

    @TempDir
    Path directory;

    @AfterEach
    void close() {
        scope.close();
        backend.close();
    }

    @Test
    void readsAFileWrittenByHand() throws IOException {
        String header = "{\"__metadata__\":{\"format\":\"pt\"},"
                + "\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
                + "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[8,14]},"
                + "\"c\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[14,16]},"
                + "\"d\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[16,24]},"
                + "\"none\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[24,24]}}  ";
        String data = "0000803f" + "000000c0" // 1, -2
                + "803f" + "4040" + "807f" // 1, 3, infinity
                + "003e" // 1.5
                + "feffffffffffffff"; // -2
        Path file = write("hand.safetensors", header, HexFormat.of().parseHex(data));
        try (Safetensors tensors = Safetensors.open(file)) {
            assertThat(tensors.names()).containsExactly("a", "b", "c", "d", "none");
            assertThat(tensors.metadata()).containsExactly(entry("format", "pt"));
            assertThat(tensors.entry("a").shape()).containsExactly(2L, 1L);
            assertThat(floats(tensors, "a")).containsExactly(1, -2);
            assertThat(floats(tensors, "b")).containsExactly(1, 3, Float.POSITIVE_INFINITY);
            assertThat(floats(tensors, "c")).containsExactly(1.5f);
            assertThat(floats(tensors, "none")).isEmpty();
            ByteBuffer raw = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
            tensors.read("d", 0, raw);
            assertThat(raw.getLong(0)).isEqualTo(-2);
            assertThatThrownBy(() -> floats(tensors, "d"))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("'d'")
                    .hasMessageContaining("I64");
            assertThatThrownBy(() -> tensors.entry("missing"))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("'missing'")
                    .hasMessageContaining("'none'");
        }
    }

    @Test
    void writesTheBytesThatAHandWouldWrite() throws IOException {
        Tensor a = tensor("a", 1, -2).reshape(2, 1);
        Path file = directory.resolve("model.safetensors");
        new SafetensorsWriter().metadata("format", "pt").add("a", a).write(file);
        String header = "{\"__metadata__\":{\"format\":\"pt\"},"
                + "\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}";
        int padded = (8 + header.length() + 63) / 64 * 64 - 8;
        ByteBuffer expected = ByteBuffer.allocate(8 + padded + 8).order(ByteOrder.LITTLE_ENDIAN);
        expected.putLong(padded).put((header + " ".repeat(padded - header.length())).getBytes(StandardCharsets.UTF_8));
        expected.putFloat(1).putFloat(-2);
        assertThat(Files.readAllBytes(file)).isEqualTo(expected.array());
        assertThat(directory.toFile().list()).containsExactly("model.safetensors");
    }

    @Test
    void keepsEveryBitOfF32AndRoundsToBf16() {
        float[] values = {0f, -0f, Float.MIN_VALUE, Float.NaN, Float.intBitsToFloat(0x7f800001), 1 / 3f, -1e38f};
        Path file = directory.resolve("bits.safetensors");
        Tensor tensor = tensor("x", values);
        new SafetensorsWriter()
                .add("x", tensor)
                .add("y", ElementType.BF16, tensor)
                .write(file);
        Tensor x = scope.tensor("x again", DType.F32, values.length);
        Tensor y = scope.tensor("y again", DType.F32, values.length);
        Tensor yBits = scope.tensor("y bits", DType.BF16, values.length);
        try (Safetensors tensors = Safetensors.open(file)) {
            tensors.copyTo("x", x);
            tensors.copyTo("y", y);
            tensors.copyTo("y", yBits);
            assertThatThrownBy(() -> tensors.copyTo("x", x.reshape(1, values.length)))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("its shape is (7) and should be (1,7)");
        }
        assertThat(bits(x)).isEqualTo(bits(tensor));
        float[] rounded = y.toFloats();
        for (int i = 0; i < values.length; i++) {
            float expected = BFloat16.toFloat(BFloat16.fromFloat(values[i]));
            assertThat(Float.compare(rounded[i], expected)).as("element %d", i).isZero();
        }
        assertThat(yBits.toFloats()).containsExactly(rounded);
    }

    @Test
    void sortsByNameWhenAsked() {
        Path file = directory.resolve("sorted.safetensors");
        new SafetensorsWriter()
                .add("b", tensor("b", 1))
                .add("a", tensor("a", 2))
                .sortedByName()
                .write(file);
        try (Safetensors tensors = Safetensors.open(file)) {
            assertThat(tensors.names()).containsExactly("a", "b");
            assertThat(floats(tensors, "a")).containsExactly(2);
        }
    }

    @Test
    void refusesReadsAfterClose() {
        Path file = directory.resolve("closed.safetensors");
        new SafetensorsWriter().add("a", tensor("a", 1)).write(file);
        Safetensors tensors = Safetensors.open(file);
        tensors.close();
        tensors.close();
        assertThatThrownBy(() -> floats(tensors, "a"))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
    }

    @Test
    void putsShardsTogether() throws IOException {
        new SafetensorsWriter().add("a", tensor("a", 1)).write(directory.resolve("model-00001-of-00002.safetensors"));
        new SafetensorsWriter()
                .add("b", tensor("b", 2))
                .add("c", tensor("c", 3))
                .write(directory.resolve("model-00002-of-00002.safetensors"));
        Path index = directory.resolve(Safetensors.INDEX_NAME);
        Files.writeString(
                index,
                "{\"metadata\":{\"total_size\":12},\"weight_map\":{"
                        + "\"c\":\"model-00002-of-00002.safetensors\",\"a\":\"model-00001-of-00002.safetensors\","
                        + "\"b\":\"model-00002-of-00002.safetensors\"}}");
        try (Safetensors tensors = Safetensors.open(directory)) {
            assertThat(tensors.names()).containsExactly("c", "a", "b");
            for (String name : List.of("a", "b", "c")) {
                assertThat(floats(tensors, name)).containsExactly(name.charAt(0) - 'a' + 1);
            }
        }
    }

    @Test
    void refusesIndexesThatAreWrong() throws IOException {
        new SafetensorsWriter().add("a", tensor("a", 1)).write(directory.resolve("one.safetensors"));
        Path index = directory.resolve(Safetensors.INDEX_NAME);
        expectIndexError(index, "{}", "'weight_map' is missing");
        expectIndexError(index, "{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}", "Duplicate");
        expectIndexError(index, "{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "not the plain name of a file");
        expectIndexError(index, "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "not the plain name of a file");
        expectIndexError(index, "{\"weight_map\":{\"a\":7}}", "not the plain name of a file");
        expectIndexError(index, "{\"weight_map\":{\"a\":\"two.safetensors\"}}", "it does not exist");
        expectIndexError(index, "{\"weight_map\":{\"b\":\"one.safetensors\"}}", "'b'");
        expectIndexError(index, "{\"weight_map\":", "not valid JSON");
        expectIndexError(index, "[]", "does not hold a JSON object");
        expectIndexError(index, "", "does not hold a JSON object");
    }

    private void expectIndexError(Path index, String json, String message) throws IOException {
        Files.writeString(index, json);
        assertThatThrownBy(() -> Safetensors.open(directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining(message);
    }

    @Test
    void saysWhatIsMissing() throws IOException {
        assertThatThrownBy(() -> Safetensors.open(directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining(Safetensors.FILE_NAME)
                .hasMessageContaining(Safetensors.INDEX_NAME);
        assertThatThrownBy(() -> Safetensors.open(directory.resolve("nothing.safetensors")))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("it does not exist");
        Files.createDirectory(directory.resolve(Safetensors.FILE_NAME));
        assertThatThrownBy(() -> Safetensors.open(directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("is a directory");
    }

    @Test
    void readsAcrossMappingsOfAFileOver2GiB() throws IOException {
        long bytes = (2L << 30) + 4096;
        String header = "{\"x\":{\"dtype\":\"F32\",\"shape\":[" + bytes / 4 + "],\"data_offsets\":[0," + bytes + "]}}";
        header += " ".repeat((6 - header.length() % 4) % 4); // so that an element lies across two mappings
        Path file = write("large.safetensors", header, new byte[0]);
        long dataStart = 8 + header.length();
        assertThat(dataStart % 4).isEqualTo(2);
        long[] elements = {0, ((1L << 30) - dataStart) / 4, ((2L << 30) - dataStart) / 4, bytes / 4 - 1};
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) { // a sparse file
            for (int i = 0; i < elements.length; i++) {
                ByteBuffer value =
                        ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(0, i + 1.5f);
                channel.write(value, dataStart + 4 * elements[i]);
            }
        }
        try (Safetensors tensors = Safetensors.open(file)) {
            for (int i = 0; i < elements.length; i++) {
                float[] value = new float[1];
                tensors.read("x", elements[i], value, 0, 1);
                assertThat(value[0]).isEqualTo(i + 1.5f);
            }
            float[] around = new float[7];
            tensors.read("x", elements[1] - 3, around, 0, 7);
            assertThat(around).containsExactly(0, 0, 0, 2.5f, 0, 0, 0);
            assertThatThrownBy(() -> tensors.read("x", bytes / 4 - 1, around, 0, 2))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
        Files.delete(file);
    }

    private Path write(String name, String header, byte[] data) throws IOException {
        return SafetensorsHeaderTest.write(directory.resolve(name), header.getBytes(StandardCharsets.UTF_8), data);
    }

    private Tensor tensor(String name, float... values) {
        Tensor tensor = scope.tensor(name, DType.F32, values.length);
        tensor.write(values);
        return tensor;
    }

    private static byte[] bits(Tensor tensor) {
        ByteBuffer bytes = ByteBuffer.allocate((int) tensor.bytes());
        tensor.buffer().read(tensor.byteOffset(), bytes);
        return bytes.array();
    }

    private static float[] floats(Safetensors tensors, String name) {
        float[] values = new float[(int) tensors.entry(name).elements()];
        tensors.read(name, 0, values, 0, values.length);
        return values;
    }
}
