package org.licorne.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.nn.Parameter;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;
import org.licorne.tokenize.Tokenizer;

class ModelDirectoryTest {
    private static final GptConfig CONFIG = new GptConfig(11, 5, 6, 2, 3, 1e-6f);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Backend backend = Backends.open("reference");
    private final MemoryScope scope = new MemoryScope(backend, "test");
    private final Gpt gpt = Gpt.initialise(backend, CONFIG, 7);

    @TempDir
    Path directory;

    @AfterEach
    void close() {
        gpt.close();
        scope.close();
        backend.close();
    }

    @Test
    void givesBackEveryWeight() {
        ModelDirectory.save(gpt, null, directory);
        assertThat(ModelDirectory.readConfig(directory)).isEqualTo(CONFIG);
        assertLoadsEqual();
        assertThat(directory.toFile().list())
                .containsExactlyInAnyOrder("config.json", "generation_config.json", "model.safetensors");
    }

    @Test
    void writesWhatPythonExpects() throws IOException {
        ModelDirectory.save(gpt, null, directory);
        ObjectNode config =
                (ObjectNode) JSON.readTree(directory.resolve("config.json").toFile());
        assertThat(config.get("architectures").get(0).asText()).isEqualTo("GPT2LMHeadModel");
        assertThat(config.get("model_type").asText()).isEqualTo("gpt2");
        assertThat(config.get("activation_function").asText()).isEqualTo("gelu_new");
        assertThat(config.get("n_inner").isNull()).isTrue();
        assertThat(config.get("layer_norm_epsilon").asDouble()).isEqualTo(1e-6);
        assertThat(config.get("vocab_size").asInt()).isEqualTo(11);
        try (Safetensors file = Safetensors.open(directory)) {
            assertThat(file.metadata()).containsEntry("format", "pt");
            assertThat(file.names()).hasSize(2 + 2 * 12 + 2).contains("wte.weight", "h.1.mlp.c_proj.bias", "ln_f.bias");
            assertThat(file.entry("wte.weight").shape()).containsExactly(11L, 6L); // without the padding
            assertThat(file.entry("h.0.attn.c_attn.weight").shape()).containsExactly(6L, 18L);
            assertThat(file.entry("h.0.mlp.c_proj.weight").shape()).containsExactly(24L, 6L);
            float[] inOut = new float[6 * 18];
            file.read("h.0.attn.c_attn.weight", 0, inOut, 0, inOut.length);
            float[] outIn = gpt.parameter("h.0.attn.c_attn.weight").tensor().toFloats();
            for (int in = 0; in < 6; in++) {
                for (int out = 0; out < 18; out++) {
                    assertThat(inOut[in * 18 + out]).isEqualTo(outIn[out * 6 + in]);
                }
            }
        }
    }

    @Test
    void knowsEveryParameterOfTheModel() {
        assertThat(Gpt2Format.entries(CONFIG).map(Gpt2Format.Entry::name))
                .containsExactlyElementsOf(
                        gpt.parameters().stream().map(Parameter::name).toList());
    }

    @Test
    void givesTheSameLogits() {
        int[] tokens = {1, 2, 3, 10, 0};
        float[] before = gpt.logits(tokens, 1, 5);
        ModelDirectory.save(gpt, null, directory);
        try (Gpt loaded = ModelDirectory.load(backend, directory)) {
            assertThat(loaded.logits(tokens, 1, 5)).containsExactly(before);
        }
    }

    @Test
    void roundsToBf16() {
        ModelDirectory.save(gpt, null, directory, ElementType.BF16);
        try (Gpt loaded = ModelDirectory.load(backend, directory)) {
            for (Parameter parameter : gpt.parameters()) {
                float[] expected = parameter.tensor().toFloats();
                for (int i = 0; i < expected.length; i++) {
                    expected[i] = BFloat16.toFloat(BFloat16.fromFloat(expected[i]));
                }
                assertThat(loaded.parameter(parameter.name()).tensor().toFloats())
                        .as(parameter.name())
                        .containsExactly(expected);
            }
        }
        assertThatThrownBy(() -> ModelDirectory.save(gpt, null, directory, ElementType.I64))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void readsF16() {
        for (Parameter parameter : gpt.parameters()) {
            backend.kernels().fill(parameter.tensor(), 0.5f);
        }
        rewrite(writer -> Gpt2Format.entries(CONFIG).forEach(entry -> {
            int elements = (int) gpt.parameter(entry.name()).elements();
            writer.add(entry.name(), ElementType.F16, entry.shape(), sink -> {
                ByteBuffer halves = ByteBuffer.allocate(2 * elements);
                while (halves.hasRemaining()) {
                    halves.put((byte) 0x00).put((byte) 0x38); // 0.5
                }
                sink.bytes(halves.flip());
            });
        }));
        assertLoadsEqual();
    }

    @Test
    void readsPrefixedNamesMasksAndATiedHead() {
        rewrite(writer -> {
            addAll(writer, Gpt2Format.PREFIX);
            writer.add(
                    Gpt2Format.PREFIX + "h.0.attn.bias",
                    ElementType.U8,
                    new long[] {1, 1, 5, 5},
                    sink -> sink.bytes(ByteBuffer.allocate(25)));
            writer.add(
                    Gpt2Format.PREFIX + "h.1.attn.masked_bias",
                    floats("masked", 1).reshape());
            writer.add(Gpt2Format.HEAD, gpt.parameter("wte.weight").tensor());
        });
        assertLoadsEqual();
    }

    @Test
    void readsShards() throws IOException {
        ModelDirectory.save(gpt, null, directory);
        Files.delete(directory.resolve(Safetensors.FILE_NAME));
        SafetensorsWriter[] shards = {new SafetensorsWriter(), new SafetensorsWriter()};
        ObjectNode weightMap = JSON.createObjectNode();
        int[] next = {0};
        Gpt2Format.entries(CONFIG).forEach(entry -> {
            int shard = next[0]++ % 2;
            add(shards[shard], "", entry);
            weightMap.put(entry.name(), "model-" + shard + ".safetensors");
        });
        shards[0].write(directory.resolve("model-0.safetensors"));
        shards[1].write(directory.resolve("model-1.safetensors"));
        Files.writeString(
                directory.resolve(Safetensors.INDEX_NAME),
                JSON.createObjectNode().set("weight_map", weightMap).toString());
        assertLoadsEqual();
    }

    @Test
    void refusesWeightsThatDoNotFit() {
        expectWeightError(writer -> {}, "'wte.weight'", "missing");
        expectWeightError(
                writer -> Gpt2Format.entries(CONFIG)
                        .filter(entry -> !entry.name().equals("h.1.ln_2.bias"))
                        .forEach(entry -> add(writer, "", entry)),
                "'h.1.ln_2.bias'",
                "missing");
        expectWeightError(
                writer -> Gpt2Format.entries(CONFIG).forEach(entry -> {
                    if (entry.name().equals("h.0.attn.c_proj.bias")) {
                        writer.add(entry.name(), floats("short", 1, 2, 3));
                    } else {
                        add(writer, "", entry);
                    }
                }),
                "'h.0.attn.c_proj.bias'",
                "its shape is (3) and should be (6)");
        expectWeightError(
                writer -> {
                    addAll(writer, "");
                    writer.add("h.2.ln_1.bias", floats("more", 1));
                },
                "'h.2.ln_1.bias'",
                "2 layers");
        expectWeightError(
                writer -> {
                    addAll(writer, "");
                    Tensor head = scope.tensor("head", DType.F32, 11, 6);
                    float[] values = gpt.parameter("wte.weight").tensor().toFloats();
                    values[65] += 1;
                    head.write(values);
                    writer.add(Gpt2Format.HEAD, head);
                },
                "'lm_head.weight'",
                "differs from the token table");
        expectWeightError(
                writer -> Gpt2Format.entries(CONFIG).forEach(entry -> {
                    if (entry.name().equals("ln_f.weight")) {
                        writer.add(entry.name(), scope.tensor("ints", DType.I32, 6));
                    } else {
                        add(writer, "", entry);
                    }
                }),
                "'ln_f.weight'",
                "its type is I32");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "model_type|'llama'|only gpt2",
                "model_type|7|a string is needed",
                "activation_function|'relu'|only gelu_new",
                "activation_function|'gelu'|only gelu_new",
                "n_inner|25|only null or 4 times",
                "n_inner|'x'|only null or 4 times",
                "scale_attn_weights|false|only true",
                "scale_attn_by_inverse_layer_idx|true|only false",
                "add_cross_attention|true|only false",
                "tie_word_embeddings|false|only true",
                "quantization_config|{}|quantised",
                "n_embd|0|a whole number from 1",
                "n_embd|6.5|a whole number from 1",
                "n_layer|99999999999|a whole number from 1",
                "n_head|null|a whole number from 1",
                "n_head|4|multiple of the heads",
                "vocab_size|'many'|a whole number from 1",
                "layer_norm_epsilon|-1|must be positive",
                "layer_norm_epsilon|'small'|a number is needed",
                "n_embd|2000000001|n_inner",
                "vocab_size|2147483647|should be (2147483647,6)",
                "n_positions|2147483647|should be (2147483647,6)",
                "n_layer|2147483647|'h.2.ln_1.weight'",
            })
    void refusesConfigurations(String key, String value, String message) throws IOException {
        ModelDirectory.save(gpt, null, directory);
        Path file = directory.resolve("config.json");
        ObjectNode config = (ObjectNode) JSON.readTree(file.toFile());
        config.set(key, JSON.readTree(value.replace('\'', '"')));
        if (message.equals("n_inner")) {
            config.put("n_inner", 7);
        }
        Files.writeString(file, config.toString());
        assertThatThrownBy(() -> ModelDirectory.load(backend, directory).close())
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining(message);
    }

    @Test
    void readsConfigurationsThatSayTheSameOtherwise() throws IOException {
        ModelDirectory.save(gpt, null, directory);
        Files.writeString(
                directory.resolve("config.json"),
                "{\"model_type\":\"gpt2\",\"vocab_size\":11,\"n_ctx\":5,\"n_embd\":6,\"n_layer\":2,\"n_head\":3,"
                        + "\"n_inner\":24,\"activation_function\":\"gelu_pytorch_tanh\",\"layer_norm_epsilon\":1e-06,"
                        + "\"task_specific_params\":{\"text-generation\":{\"max_length\":50}}}");
        assertLoadsEqual();
    }

    @Test
    void saysWhatIsMissing() throws IOException {
        assertThatThrownBy(() -> ModelDirectory.load(backend, directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("config.json")
                .hasMessageContaining("does not exist");
        assertThatThrownBy(() -> ModelDirectory.load(backend, directory.resolve("nowhere")))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("there is no such directory");
        ModelDirectory.save(gpt, null, directory);
        Path weights = directory.resolve(Safetensors.FILE_NAME);
        byte[] whole = Files.readAllBytes(weights);
        Files.write(weights, Arrays.copyOf(whole, whole.length - 100));
        assertThatThrownBy(() -> ModelDirectory.load(backend, directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("cut short");
        Files.delete(weights);
        assertThatThrownBy(() -> ModelDirectory.load(backend, directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("model.safetensors");
    }

    @Test
    void savesTheTokenizerAndKeepsWhatElseIsThere() throws IOException {
        Files.writeString(directory.resolve("notes.txt"), "mine");
        ModelDirectory.save(gpt, new LetterTokenizer(11), directory);
        assertThat(directory.resolve("tokenizer.json")).hasContent("{\"letters\":11}");
        assertThat(directory.resolve("notes.txt")).hasContent("mine");
        assertThat(JSON.readTree(directory.resolve("config.json").toFile())
                        .get("eos_token_id")
                        .asInt())
                .isEqualTo(10);
        assertThat(JSON.readTree(directory.resolve("generation_config.json").toFile())
                        .get("bos_token_id")
                        .asInt())
                .isEqualTo(10);
        assertThatThrownBy(() -> ModelDirectory.save(gpt, new LetterTokenizer(12), directory))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("12 ids");
    }

    @Test
    void aNewDirectoryAppearsAsAWhole() throws IOException {
        Path fresh = directory.resolve("models/new");
        for (int failAt = 0; ; failAt++) {
            new Storage().delete(directory.resolve("models"));
            FailingStorage storage = new FailingStorage(failAt, true);
            try {
                ModelDirectory.save(storage, gpt, null, fresh, ElementType.F32);
            } catch (CheckpointException e) {
                assertThat(e).hasMessageContaining("the disk is full");
                if (Files.exists(fresh)) {
                    ModelDirectory.load(backend, fresh).close();
                }
                continue;
            }
            ModelDirectory.load(backend, fresh).close();
            assertThat(fresh.getParent().toFile().list()).containsExactly("new");
            return;
        }
    }

    @Test
    void whatIsWrongWithTheJsonIsSaidInAFewWords() throws IOException {
        for (String broken : List.of("[1", "{}{", "{\"a\": {", "{\"a\": NaN}")) {
            Files.writeString(directory.resolve("config.json"), broken);
            assertThatThrownBy(() -> ModelDirectory.readConfig(directory))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("not valid JSON")
                    .hasMessageNotContainingAny("REDACTED", "Feature");
        }
    }

    @Test
    void keepsTheOldModelWhereverTheDiskFails() throws IOException {
        try (Gpt other = Gpt.initialise(backend, CONFIG, 8)) {
            for (int failAt = 0; ; failAt++) {
                new Storage().delete(directory);
                ModelDirectory.save(gpt, null, directory);
                FailingStorage storage = new FailingStorage(failAt, true);
                boolean saved = false;
                try {
                    ModelDirectory.save(storage, other, null, directory, ElementType.F32);
                    saved = true;
                } catch (CheckpointException e) {
                    assertThat(e).hasMessageContaining("the disk is full");
                }
                try (Gpt loaded = ModelDirectory.load(backend, directory)) {
                    float[] table = loaded.parameter("wte.weight").tensor().toFloats();
                    assertThat(table)
                            .isIn(
                                    gpt.parameter("wte.weight").tensor().toFloats(),
                                    other.parameter("wte.weight").tensor().toFloats());
                    if (saved) {
                        assertThat(table)
                                .isEqualTo(
                                        other.parameter("wte.weight").tensor().toFloats());
                    }
                }
                if (saved) {
                    assertThat(failAt).isGreaterThan(10);
                    break;
                }
            }
        }
    }

    private void expectWeightError(Consumer<SafetensorsWriter> content, String... messages) {
        rewrite(content);
        assertThatThrownBy(() -> ModelDirectory.load(backend, directory))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll(messages);
    }

    private void rewrite(Consumer<SafetensorsWriter> content) {
        ModelDirectory.save(gpt, null, directory);
        SafetensorsWriter writer = new SafetensorsWriter();
        content.accept(writer);
        writer.write(directory.resolve(Safetensors.FILE_NAME));
    }

    private void addAll(SafetensorsWriter writer, String prefix) {
        Gpt2Format.entries(CONFIG).forEach(entry -> add(writer, prefix, entry));
    }

    /** Adds a parameter as the file format wants it, transposed by plain loops. */
    private void add(SafetensorsWriter writer, String prefix, Gpt2Format.Entry entry) {
        float[] values = gpt.parameter(entry.name()).tensor().toFloats();
        Tensor tensor = scope.tensor(entry.name(), DType.F32, entry.shape());
        if (entry.transposed()) {
            int in = (int) entry.shape()[0];
            int out = (int) entry.shape()[1];
            float[] transposed = new float[values.length];
            for (int i = 0; i < in; i++) {
                for (int o = 0; o < out; o++) {
                    transposed[i * out + o] = values[o * in + i];
                }
            }
            tensor.write(transposed);
        } else {
            tensor.write(values);
        }
        writer.add(prefix + entry.name(), tensor);
    }

    private Tensor floats(String name, float... values) {
        Tensor tensor = scope.tensor(name, DType.F32, values.length);
        tensor.write(values);
        return tensor;
    }

    private void assertLoadsEqual() {
        try (Gpt loaded = ModelDirectory.load(backend, directory)) {
            assertThat(loaded.config()).isEqualTo(CONFIG);
            for (Parameter parameter : gpt.parameters()) {
                assertThat(loaded.parameter(parameter.name()).tensor().toFloats())
                        .as(parameter.name())
                        .containsExactly(parameter.tensor().toFloats());
            }
            float[] padded = loaded.parameter("wte.weight").padded().toFloats();
            assertThat(Arrays.copyOfRange(padded, 11 * 6, padded.length)).containsOnly(0f);
        }
    }

    /** As many ids as asked for; the last begins and ends texts. */
    private record LetterTokenizer(int vocabularySize) implements Tokenizer {
        @Override
        public int beginOfSentence() {
            return vocabularySize - 1;
        }

        @Override
        public int[] encode(String text) {
            return text.chars().map(c -> c - 'a').toArray();
        }

        @Override
        public byte[] bytes(int token) {
            return new byte[] {(byte) ('a' + token)};
        }

        @Override
        public String decode(int... tokens) {
            StringBuilder text = new StringBuilder();
            for (int token : tokens) {
                text.append((char) ('a' + token));
            }
            return text.toString();
        }

        @Override
        public String label(int token) {
            return decode(token);
        }

        @Override
        public void save(Path target) {
            try {
                Files.writeString(target.resolve("tokenizer.json"), "{\"letters\":" + vocabularySize + "}");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
