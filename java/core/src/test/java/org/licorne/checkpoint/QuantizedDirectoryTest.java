package org.licorne.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Quantization;
import org.licorne.nn.Parameter;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** Models in fewer bits, on the disk and back. */
class QuantizedDirectoryTest {
    /** Neither rows nor columns fill their last tile, and the vocabulary is padded by more than a tile. */
    private static final GptConfig CONFIG = new GptConfig(70, 8, 36, 2, 3);

    private static final int[] TOKENS = {1, 69, 3, 17, 0, 42, 5, 68};
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Backend backend = Backends.open("reference");

    @TempDir
    Path directory;

    @AfterEach
    void close() {
        backend.close();
    }

    private Gpt quantised(DType weights) {
        Gpt gpt = Gpt.initialise(backend, CONFIG, 7, 0.2);
        for (Parameter parameter : gpt.parameters()) {
            if (parameter.name().endsWith(".bias")) {
                backend.kernels().fill(parameter.tensor(), 1 / 3f); // neither 0 nor a number that bf16 holds
            }
        }
        return Quantization.to(weights, gpt);
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"BF16", "Q8", "Q4"})
    void comeBackBitByBit(DType weights) {
        try (Gpt saved = quantised(weights)) {
            ModelDirectory.save(saved, null, directory);
            try (Gpt loaded = ModelDirectory.load(backend, directory)) {
                assertThat(loaded.weights()).isEqualTo(weights);
                for (Parameter parameter : saved.parameters()) {
                    Parameter other = loaded.parameter(parameter.name());
                    assertThat(other.dtype()).isEqualTo(parameter.dtype());
                    boolean plain = parameter.dtype() == DType.F32;
                    assertThat(bytes(plain ? other.tensor() : matrix(other)))
                            .as(parameter.name())
                            .isEqualTo(bytes(plain ? parameter.tensor() : matrix(parameter)));
                }
                assertThat(loaded.logits(TOKENS, 1, 8)).containsExactly(saved.logits(TOKENS, 1, 8));
                assertThat(decoded(loaded)).containsExactly(decoded(saved));
            }
        }
    }

    /** A matrix without rows of padding beyond its last tile. */
    private static Tensor matrix(Parameter parameter) {
        return parameter
                .small()
                .part(
                        "matrix",
                        0,
                        parameter
                                .dtype()
                                .matrixShape(parameter.shape()[0], parameter.shape()[1]));
    }

    private static byte[] bytes(Tensor tensor) {
        ByteBuffer bytes = ByteBuffer.allocate((int) tensor.bytes());
        tensor.buffer().read(tensor.byteOffset(), bytes);
        return bytes.array();
    }

    private static float[] decoded(Gpt gpt) {
        float[] logits = new float[CONFIG.vocabularySize()];
        try (DecodingPass pass = gpt.decodingPass(1, 8)) {
            pass.feed(new int[][] {{1, 69, 3}});
            pass.decode(new int[] {17});
            pass.logits(0, logits);
        }
        return logits;
    }

    @Test
    void pythonReadsBf16() throws IOException {
        try (Gpt gpt = quantised(DType.BF16)) {
            ModelDirectory.save(gpt, null, directory);
        }
        try (Safetensors file = Safetensors.open(directory)) {
            assertThat(file.metadata()).containsEntry("format", "pt");
            assertThat(file.entry("wte.weight").type()).isEqualTo(ElementType.BF16);
            assertThat(file.entry("h.1.attn.c_attn.weight").type()).isEqualTo(ElementType.BF16);
            assertThat(file.entry("h.1.attn.c_attn.weight").shape()).containsExactly(36L, 108L); // (in, out)
            assertThat(file.entry("wpe.weight").type()).isEqualTo(ElementType.F32);
            assertThat(file.entry("h.0.ln_1.bias").type()).isEqualTo(ElementType.F32);
        }
        JsonNode config = JSON.readTree(directory.resolve("config.json").toFile());
        assertThat(config.get("torch_dtype").asText()).isEqualTo("bfloat16");
        assertThat(config.has("quantization_config")).isFalse();
    }

    @Test
    void tilesSayWhatTheyAreAndThatPythonCannotReadThem() throws IOException {
        try (Gpt gpt = quantised(DType.Q4)) {
            ModelDirectory.save(gpt, null, directory);
        }
        try (Safetensors file = Safetensors.open(directory)) {
            assertThat(file.metadata())
                    .containsEntry("format", "licorne")
                    .containsEntry("licorne.weights", "q4")
                    .containsEntry("licorne.weights.version", "1")
                    .containsKey("licorne.weights.layout");
            assertThat(file.entry("wte.weight").type()).isEqualTo(ElementType.U8);
            assertThat(file.entry("wte.weight").shape()).containsExactly(5L, 2L, 288L); // ⌈70/16⌉, ⌈36/32⌉
        }
        JsonNode config = JSON.readTree(directory.resolve("config.json").toFile());
        assertThat(config.at("/quantization_config/quant_method").asText()).isEqualTo("licorne");
    }

    @Test
    void whatIsNotKnownIsRefused() throws IOException {
        try (Gpt gpt = quantised(DType.Q8)) {
            ModelDirectory.save(gpt, null, directory);
        }
        byte[] file = Files.readAllBytes(directory.resolve(Safetensors.FILE_NAME));
        refused(file, header -> metadata(header, "licorne.weights.version", "2"), "version '2'", "version 1");
        refused(file, header -> metadata(header, "licorne.weights", "q3"), "'q3'", "bf16, q8 and q4");
        refused(file, header -> metadata(header, "licorne.weights", "q4"), "its shape", "288");
        refused(file, header -> metadata(header, "licorne.weights", "bf16"), "its type is U8", "BF16");
        refused(file, header -> header.remove("__metadata__") == null ? null : header, "its shape");
        refused(Arrays.copyOf(file, file.length - 100), header -> header, "cut short");
    }

    private static ObjectNode metadata(ObjectNode header, String key, String value) {
        ((ObjectNode) header.get("__metadata__")).put(key, value);
        return header;
    }

    private void refused(byte[] file, UnaryOperator<ObjectNode> change, String... why) throws IOException {
        ByteBuffer old = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        int length = (int) old.getLong();
        ObjectNode header = (ObjectNode) JSON.readTree(file, 8, length);
        byte[] changed = change.apply(header).toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer bytes = ByteBuffer.allocate(8 + changed.length + file.length - 8 - length)
                .order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(changed.length).put(changed).put(file, 8 + length, file.length - 8 - length);
        Files.write(directory.resolve(Safetensors.FILE_NAME), bytes.array());
        assertThatThrownBy(() -> ModelDirectory.load(backend, directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll(why);
    }

    @Test
    void otherQuantisationsAreRefused() throws IOException {
        try (Gpt gpt = quantised(DType.Q8)) {
            ModelDirectory.save(gpt, null, directory);
        }
        Path file = directory.resolve("config.json");
        ObjectNode config = (ObjectNode) JSON.readTree(file.toFile());
        ((ObjectNode) config.get("quantization_config")).put("quant_method", "gptq");
        Files.writeString(file, config.toString());
        assertThatThrownBy(() -> ModelDirectory.load(backend, directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("quantization_config");
    }

    @Test
    void whatWasLostDoesNotComeBack() {
        try (Gpt gpt = quantised(DType.Q8)) {
            assertThatThrownBy(() -> ModelDirectory.save(gpt, null, directory, ElementType.F32))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("only be saved as they are");
            ModelDirectory.save(gpt, null, directory);
        }
        try (Gpt loaded = ModelDirectory.load(backend, directory)) {
            assertThatThrownBy(() -> Quantization.q4(loaded)).hasMessageContaining("Q8 already");
            assertThatThrownBy(loaded::allocateGradients).hasMessageContaining("not trained");
        }
    }
}
