package org.licorne.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.domains.Domain;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.tokenize.Tokenizer;

class ByteLevelBpeTest {
    private static final List<String> TEXTS = texts();
    private static final ByteLevelBpeTokenizer OURS = new ByteLevelBpeTrainer(1500, 2).train(TEXTS);
    private static final Path DIRECTORY = saved();
    private static final JsonTokenizer HUGGING_FACE = JsonTokenizer.load(DIRECTORY);

    private static List<String> texts() {
        List<String> texts = new ArrayList<>(WordNetCorpus.load(1).training().subList(0, 3000));
        for (int i = 0; i < 20; i++) {
            texts.add("\u53F0\u7063\u5927\u5B78 caf\u00E9 \uD83E\uDD84\uD83E\uDD84\uD83E\uDD84"
                    + " aaaaaaaaaaaaaaaaaaaaa\n\n\n"
                    + "  x  y 'tis don't we'll");
        }
        return texts;
    }

    private static Path saved() {
        try {
            Path directory = Files.createTempDirectory("licorne-bpe");
            OURS.save(directory);
            for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
                directory.resolve(name).toFile().deleteOnExit();
            }
            directory.toFile().deleteOnExit();
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Property(tries = 3000)
    @Domain(AnyText.class)
    void idsAreThoseOfHuggingFace(@ForAll String text) {
        assertThat(OURS.encode(text)).isEqualTo(HUGGING_FACE.encode(text));
    }

    @Property(tries = 1000)
    @Domain(AnyText.class)
    void textComesBack(@ForAll String text) {
        int[] tokens = OURS.encode(text);
        assertThat(OURS.decode(tokens)).isEqualTo(TokenText.wellFormed(text));
        assertThat(HUGGING_FACE.decode(tokens)).isEqualTo(TokenText.wellFormed(text));
        assertThat(tokens).doesNotContain(OURS.beginOfSentence());
    }

    @Property(tries = 300)
    void longWordsAreMergedAsShortOnes(@ForAll long seed) {
        Random random = new Random(seed);
        StringBuilder word = new StringBuilder();
        int length = 1 + random.nextInt(400);
        for (int i = 0; i < length; i++) {
            word.append("aaeinrstx".charAt(random.nextInt(9)));
        }
        assertThat(OURS.encode(word.toString())).isEqualTo(HUGGING_FACE.encode(word.toString()));
    }

    @Test
    void classesOfAllCodePointsAreThoseOfHuggingFace() throws IOException {
        // A vocabulary of one unknown word counts the words of the pre-tokenizer.
        String json = "{'version':'1.0','added_tokens':[],'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':false,"
                + "'trim_offsets':true,'use_regex':true},"
                + "'model':{'type':'WordLevel','vocab':{'?':0},'unk_token':'?'}}";
        try (HuggingFaceTokenizer counter = HuggingFaceTokenizer.newInstance(
                new ByteArrayInputStream(json.replace('\'', '"').getBytes(StandardCharsets.UTF_8)),
                Map.of("addSpecialTokens", "false", "truncation", "false", "padding", "false"))) {
            for (int block = 0; block <= Character.MAX_CODE_POINT; block += 64) {
                if (block >= 0x40000 && block < 0xE0000 && block % 0x4000 != 0) {
                    continue; // planes without any character: one block in 256 is enough
                }
                StringBuilder text = new StringBuilder();
                for (int codePoint = block; codePoint < block + 64; codePoint++) {
                    String character = TokenText.wellFormed(Character.toString(codePoint));
                    text.append('a')
                            .append(character)
                            .append("a1")
                            .append(character)
                            .append("1!");
                    text.append(character).append('!');
                }
                String all = text.toString();
                int words = 0;
                for (int start = 0; start < all.length(); start = PreTokenizer.end(all, start)) {
                    words++;
                }
                assertThat(words)
                        .as("words around U+%04X", block)
                        .isEqualTo(counter.encode(all, false, false).getIds().length);
            }
        }
    }

    @Test
    void trainingDependsOnNeitherThreadsNorOrder(@TempDir Path one, @TempDir Path two) throws IOException {
        List<String> shuffled = new ArrayList<>(TEXTS);
        Collections.shuffle(shuffled, new Random(7));
        new ByteLevelBpeTrainer(1500, 1).train(TEXTS).save(one);
        new ByteLevelBpeTrainer(1500, 4).train(shuffled).save(two);
        assertThat(Files.readAllBytes(one.resolve("tokenizer.json")))
                .isEqualTo(Files.readAllBytes(two.resolve("tokenizer.json")))
                .isEqualTo(Files.readAllBytes(DIRECTORY.resolve("tokenizer.json")));
    }

    @Test
    void learnsTheMostFrequentPairFirstAndTheLowerIdsOfEqualOnes() {
        ByteLevelBpeTokenizer tokenizer = new ByteLevelBpeTrainer(259).train(List.of("ab ab ab cd cd cd xy xy"));
        // " ab" and " cd" tie at " a", " c" (2 each) and "ab", "cd" (3 each): "ab" has the lower ids.
        assertThat(tokenizer.vocabularySize()).isEqualTo(259);
        assertThat(tokenizer.bytes(256)).isEqualTo("ab".getBytes(StandardCharsets.UTF_8));
        assertThat(tokenizer.bytes(257)).isEqualTo("cd".getBytes(StandardCharsets.UTF_8));
        assertThat(tokenizer.beginOfSentence()).isEqualTo(258);
        assertThat(tokenizer.bytes(258)).isEmpty();
        assertThat(tokenizer.decode(258, 256, 258)).isEqualTo("ab");
    }

    @Test
    void aSmallTextGivesASmallerVocabulary() {
        assertThat(new ByteLevelBpeTrainer(4096).train(List.of("aaaa")).vocabularySize())
                .isBetween(257, 259);
        assertThatThrownBy(() -> new ByteLevelBpeTrainer(4096).train(List.of("")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("empty");
        assertThatThrownBy(() -> new ByteLevelBpeTrainer(100))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("257");
    }

    @Test
    void aMegabyteWithoutABlankIsEncodedInOneGo() {
        String word = "ab".repeat(500_000);
        assertThat(OURS.decode(OURS.encode(word))).isEqualTo(word);
        assertThat(new ByteLevelBpeTrainer(300).train(List.of(word)).encode(word).length)
                .isLessThan(word.length() / 32);
    }

    @Test
    void savedTokenizerLoadsBack() {
        Tokenizer loaded = Tokenizers.load(DIRECTORY);
        assertThat(loaded).isInstanceOf(ByteLevelBpeTokenizer.class);
        assertThat(Tokenizers.fingerprint(loaded)).isEqualTo(Tokenizers.fingerprint(OURS));
        assertThat(Tokenizers.fingerprint(HUGGING_FACE)).isEqualTo(Tokenizers.fingerprint(OURS));
        assertThat(HUGGING_FACE.beginOfSentence()).isEqualTo(OURS.beginOfSentence());
        for (String text : TEXTS.subList(0, 200)) {
            assertThat(loaded.encode(text)).isEqualTo(OURS.encode(text));
        }
    }

    @Test
    void labelsShowHalfCharactersAndControls() {
        int[] tokens = new ByteLevelBpeTrainer(257).train(List.of("x")).encode("\u53F0 \n");
        ByteLevelBpeTokenizer bytes = new ByteLevelBpeTrainer(257).train(List.of("x"));
        assertThat(Arrays.stream(tokens).mapToObj(bytes::label))
                .containsExactly("\\xE5", "\\x8F", "\\xB0", " ", "\u240A");
        assertThat(bytes.label(256)).isEqualTo("<|endoftext|>");
        assertThat(bytes.decode(tokens[0], tokens[1])).isEqualTo("\uFFFD");
        assertThatThrownBy(() -> bytes.label(257)).hasMessageContaining("257").hasMessageContaining("256");
    }
}
