package org.licorne.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.tokenize.Tokenizer;

class Gpt2TokenizerTest {
    private static final Gpt2Tokenizer GPT2 = new Gpt2Tokenizer();

    @Test
    void givesThePublishedIds() {
        assertThat(GPT2.encode("Hello world")).containsExactly(15496, 995);
        assertThat(GPT2.encode("Hello, my dog is cute")).containsExactly(15496, 11, 616, 3290, 318, 13779);
        assertThat(GPT2.vocabularySize()).isEqualTo(50257);
        assertThat(GPT2.beginOfSentence()).isEqualTo(50256);
        assertThat(GPT2.decode(15496, 50256, 995)).isEqualTo("Hello world");
        assertThat(GPT2.label(50256)).isEqualTo("<|endoftext|>");
        assertThat(GPT2.bytes(995)).isEqualTo(" world".getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void textThatLooksLikeASpecialTokenIsPlainText() {
        int[] tokens = GPT2.encode("<|endoftext|>");
        assertThat(tokens).doesNotContain(50256).hasSizeGreaterThan(1);
        assertThat(GPT2.decode(tokens)).isEqualTo("<|endoftext|>");
        assertThat(GPT2.encode("\uD800x")).isEqualTo(GPT2.encode("\uFFFDx"));
    }

    @Test
    void savedTokenizerGivesTheSameIds(@TempDir Path directory) {
        GPT2.save(directory);
        Tokenizer ours = Tokenizers.load(directory);
        assertThat(ours).isInstanceOf(ByteLevelBpeTokenizer.class);
        assertThat(Tokenizers.fingerprint(ours)).isEqualTo(Tokenizers.fingerprint(GPT2));
        try (JsonTokenizer huggingFace = JsonTokenizer.load(directory)) {
            for (String text : WordNetCorpus.load(5).heldOut().subList(0, 1000)) {
                int[] tokens = GPT2.encode(text);
                assertThat(ours.encode(text)).isEqualTo(tokens);
                assertThat(huggingFace.encode(text)).isEqualTo(tokens);
            }
            for (String text : List.of(
                    "I've  we'll\n\n\tit's 1234567 caf\u00E9 na\u00EFve",
                    "\u53F0\u7063\u5927\u5B78 \uD83E\uDD84 <|endoftext|>",
                    "\u0000\u0007\u00A0 \u3000x",
                    "a".repeat(3000),
                    "\u0645\u0631\u062D\u0628\u0627 \u05E9\u05DC\u05D5\u05DD \u041F\u0440\u0438\u0432\u0435\u0442")) {
                assertThat(ours.encode(text)).isEqualTo(GPT2.encode(text));
                assertThat(huggingFace.encode(text)).isEqualTo(GPT2.encode(text));
            }
        }
    }

    @Test
    void readsVocabularyAndMergesFiles(@TempDir Path directory, @TempDir Path old) throws Exception {
        ByteLevelBpeTokenizer tokenizer =
                new ByteLevelBpeTrainer(300).train(List.of("the cat sat on the mat ".repeat(3)));
        tokenizer.save(directory);
        var json = TokenizerJson.read(directory.resolve("tokenizer.json"));
        Files.writeString(
                old.resolve("vocab.json"), json.path("model").path("vocab").toString());
        StringBuilder merges = new StringBuilder("#version: 0.2\n");
        json.path("model")
                .path("merges")
                .forEach(merge -> merges.append(merge.asText()).append('\n'));
        Files.writeString(old.resolve("merges.txt"), merges);
        Tokenizer read = Tokenizers.load(old);
        assertThat(read.encode("the cat on the cat")).isEqualTo(tokenizer.encode("the cat on the cat"));
        assertThat(Tokenizers.fingerprint(read)).isEqualTo(Tokenizers.fingerprint(tokenizer));
    }
}
