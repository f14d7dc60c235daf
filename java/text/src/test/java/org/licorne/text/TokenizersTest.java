package org.licorne.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.domains.Domain;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.tokenize.Tokenizer;

class TokenizersTest {
    private static final String UNICORN = "\u53F0\u7063\u5927\u5B78 \uD83E\uDD84 caf\u00E9\n\u0000!";

    @TempDir
    Path directory;

    @Test
    void charactersAreTokens() {
        CharacterTokenizer tokenizer = CharacterTokenizer.of("\u53F0\u7063\u5927\u5B78");
        assertThat(tokenizer.vocabularySize()).isEqualTo(5);
        assertThat(tokenizer.beginOfSentence()).isEqualTo(4);
        int[] tokens = tokenizer.encode("\u53F0\u7063\u5927\u5B78");
        assertThat(tokens).containsExactlyInAnyOrder(0, 1, 2, 3);
        assertThat(tokenizer.decode(tokens)).isEqualTo("\u53F0\u7063\u5927\u5B78");
        assertThat(tokenizer.label(tokens[1])).isEqualTo("\u7063");
        assertThat(tokenizer.label(4)).isEqualTo("<|endoftext|>");
        assertThat(tokenizer.bytes(4)).isEmpty();
        assertThatThrownBy(() -> tokenizer.encode("\u53F0\uD83E\uDD84\u5317"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\uD83E\uDD84")
                .hasMessageContaining("U+1F984")
                .hasMessageContaining("number 2");
    }

    @Test
    void charactersLoadBackHereAndInHuggingFace() {
        CharacterTokenizer tokenizer = CharacterTokenizer.of(UNICORN);
        tokenizer.save(directory);
        Tokenizer loaded = Tokenizers.load(directory);
        assertThat(loaded).isInstanceOf(CharacterTokenizer.class);
        assertThat(Tokenizers.fingerprint(loaded)).isEqualTo(Tokenizers.fingerprint(tokenizer));
        try (JsonTokenizer huggingFace = JsonTokenizer.load(directory)) {
            assertThat(huggingFace.encode(UNICORN))
                    .isEqualTo(tokenizer.encode(UNICORN))
                    .isEqualTo(loaded.encode(UNICORN));
            assertThat(huggingFace.decode(tokenizer.encode(UNICORN))).isEqualTo(UNICORN);
            assertThat(Tokenizers.fingerprint(huggingFace)).isEqualTo(Tokenizers.fingerprint(tokenizer));
        }
    }

    @Property(tries = 300)
    @Domain(AnyText.class)
    void charactersComeBack(@ForAll String text) {
        if (text.isEmpty()) {
            return;
        }
        CharacterTokenizer tokenizer = CharacterTokenizer.of(text);
        assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(TokenText.wellFormed(text));
    }

    @Property(tries = 1000)
    void labelsAreOneVisibleLine(@ForAll byte[] bytes) {
        String label = TokenText.label(bytes);
        assertThat(label.codePoints()).noneMatch(Character::isISOControl);
        String text = new String(bytes, StandardCharsets.UTF_8);
        if (!text.contains("\uFFFD") && text.chars().allMatch(c -> c > ' ' && c < 127)) {
            assertThat(label).isEqualTo(text);
        }
    }

    @Test
    void labelsShowWholeAndHalfCharacters() {
        assertThat(TokenText.label("\u53F0".getBytes(StandardCharsets.UTF_8))).isEqualTo("\u53F0");
        assertThat(TokenText.label(new byte[] {'a', (byte) 0xE5, (byte) 0x8F})).isEqualTo("a\\xE5\\x8F");
        assertThat(TokenText.label(new byte[] {(byte) 0xB0, 'b'})).isEqualTo("\\xB0b");
        assertThat(TokenText.label("\u200B\t\u0085".getBytes(StandardCharsets.UTF_8)))
                .isEqualTo("\\u{200B}\u2409\\u{0085}");
    }

    /** A tokenizer as Llama 3 and Qwen have it: its own expression, merges that may be ignored, added plain tokens. */
    @Test
    void otherByteLevelTokenizersGoThroughHuggingFace() throws IOException {
        new ByteLevelBpeTrainer(400)
                .train(List.of("the white horse with a long horn ".repeat(20)))
                .save(directory);
        ObjectNode json = (ObjectNode) TokenizerJson.read(directory.resolve("tokenizer.json"));
        int size = json.path("model").path("vocab").size();
        ((ObjectNode) json.path("model")).put("ignore_merges", true);
        json.withArray("added_tokens")
                .addObject()
                .put("id", size)
                .put("content", "<tool>")
                .put("special", false)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false);
        json.withArray("added_tokens")
                .addObject()
                .put("id", size + 1)
                .put("content", "<|pad|>")
                .put("special", true)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false);
        Files.writeString(directory.resolve("tokenizer.json"), json.toString());
        Tokenizer tokenizer = Tokenizers.load(directory);
        assertThat(tokenizer).isInstanceOf(JsonTokenizer.class);
        assertThat(tokenizer.vocabularySize()).isEqualTo(size + 2);
        assertThat(tokenizer.label(size + 1)).isEqualTo("<|pad|>");
        assertThat(tokenizer.label(tokenizer.beginOfSentence())).isEqualTo("<|endoftext|>");
        assertThat(tokenizer.bytes(size)).isEqualTo("<tool>".getBytes(StandardCharsets.UTF_8));
        assertThat(tokenizer.encode("horse<tool>horn")).contains(size);
        String special = "a <|pad|> and <|endoftext|>";
        assertThat(tokenizer.encode(special)).doesNotContain(size + 1, tokenizer.beginOfSentence());
        assertThat(tokenizer.decode(tokenizer.encode(special))).isEqualTo(special);
        assertThat(tokenizer.decode(tokenizer.encode(UNICORN))).isEqualTo(UNICORN);
        Path copy = directory.resolve("copy");
        tokenizer.save(copy);
        assertThat(Tokenizers.fingerprint(Tokenizers.load(copy))).isEqualTo(Tokenizers.fingerprint(tokenizer));
    }

    @Test
    void optionsNameTokenizers() throws IOException {
        assertThat(Tokenizers.parse("gpt2", List.of()).encode("Hello world")).containsExactly(15496, 995);
        assertThat(Tokenizers.parse("chars", List.of("ab")).vocabularySize()).isEqualTo(3);
        Tokenizer trained = Tokenizers.parse("train:260", List.of("ab ab ab ab cd cd"));
        assertThat(trained.vocabularySize()).isEqualTo(260);
        trained.save(directory);
        assertThat(Tokenizers.parse(directory.toString(), List.of()).vocabularySize())
                .isEqualTo(260);
        for (String wrong : List.of("gpt3", "train:many", "train:10", "", "\u0000")) {
            assertThatThrownBy(() -> Tokenizers.parse(wrong, List.of("text")))
                    .isInstanceOf(IllegalArgumentException.class);
        }
        assertThatThrownBy(() -> Tokenizers.load(directory.resolve("missing"))).hasMessageContaining("missing");
        assertThatThrownBy(() -> Tokenizers.load(Files.createDirectory(directory.resolve("e"))))
                .hasMessageContaining("tokenizer.json");
        Path damaged = Files.createDirectory(directory.resolve("damaged"));
        Files.writeString(damaged.resolve("tokenizer.json"), "{");
        assertThatThrownBy(() -> Tokenizers.load(damaged))
                .hasMessageContaining("tokenizer.json is not valid JSON")
                .hasMessageContaining("at byte 1")
                .hasMessageNotContaining("Source");
    }

    @Test
    void damagedFilesGiveMessagesThatNameThem() throws IOException {
        new ByteLevelBpeTrainer(300)
                .train(List.of("the white horse with a long horn ".repeat(5)))
                .save(directory);
        Path file = directory.resolve("tokenizer.json");
        byte[] good = Files.readAllBytes(file);
        Random random = new Random(2);
        for (int i = 0; i < 300; i++) {
            byte[] bad = i % 2 == 0 ? Arrays.copyOf(good, random.nextInt(good.length)) : good.clone();
            if (i % 2 != 0) {
                bad[random.nextInt(bad.length)] = (byte) "x\"{}[]9,-".charAt(random.nextInt(9));
            }
            Files.write(file, bad);
            try {
                Tokenizer tokenizer = Tokenizers.load(directory); // some damage leaves a file that is whole
                assertThat(tokenizer.vocabularySize()).isPositive();
            } catch (IllegalArgumentException | UnsupportedOperationException e) {
                assertThat(e.getMessage()).contains(directory.toString());
            }
        }
    }
}
