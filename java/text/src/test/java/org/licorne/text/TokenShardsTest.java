package org.licorne.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.tokenize.Tokenizer;

class TokenShardsTest {
    private static final CharacterTokenizer LETTERS = CharacterTokenizer.of("abcdefghijklmnopqrstuvwxyz");

    @TempDir
    Path directory;

    /** A tokenizer of any vocabulary size that encodes nothing. */
    private record Vocabulary(int vocabularySize) implements Tokenizer {
        @Override
        public int beginOfSentence() {
            return vocabularySize - 1;
        }

        @Override
        public int[] encode(String text) {
            return new int[0];
        }

        @Override
        public byte[] bytes(int token) {
            return new byte[0];
        }

        @Override
        public String decode(int... tokens) {
            return "";
        }

        @Override
        public String label(int token) {
            return "";
        }

        @Override
        public void save(Path target) {
            throw new UnsupportedOperationException();
        }
    }

    private static int[] random(Random random, int length, int below) {
        return random.ints(length, 0, below).toArray();
    }

    private TokenShards write(Path target, Tokenizer tokenizer, List<int[]> documents, int shardTokens) {
        try (TokenShardsWriter writer = new TokenShardsWriter(target, tokenizer, shardTokens)) {
            documents.forEach(document -> writer.add(true, document));
            writer.finish();
        }
        return TokenShards.open(target);
    }

    private void roundTrip(int vocabularySize, int shardTokens, int tokensWanted) {
        Tokenizer tokenizer = new Vocabulary(vocabularySize);
        Random random = new Random(vocabularySize + shardTokens);
        List<int[]> documents = new ArrayList<>();
        List<Integer> expected = new ArrayList<>();
        List<Long> starts = new ArrayList<>();
        while (expected.size() < tokensWanted) {
            int[] document = random(random, random.nextInt(2 * tokensWanted / 5 + 1), vocabularySize - 1);
            documents.add(document);
            starts.add((long) expected.size());
            expected.add(tokenizer.beginOfSentence());
            for (int token : document) {
                expected.add(token);
            }
        }
        Path target = directory.resolve("shards-" + vocabularySize + "-" + shardTokens);
        TokenShards shards = write(target, tokenizer, documents, shardTokens);
        assertThat(shards.tokens()).isEqualTo(expected.size());
        assertThat(shards.documents()).isEqualTo(documents.size());
        for (int d = 0; d < starts.size(); d++) {
            assertThat(shards.documentStart(d)).isEqualTo(starts.get(d));
        }
        assertThat(shards.documentStart(starts.size())).isEqualTo(expected.size());
        for (int i = 0; i < 200; i++) {
            int from = random.nextInt(expected.size());
            int[] some = new int[random.nextInt(expected.size() - from) + 1];
            shards.read(from, some, 0, some.length);
            assertThat(some)
                    .isEqualTo(expected.subList(from, from + some.length).stream()
                            .mapToInt(Integer::intValue)
                            .toArray());
        }
        shards.verify();
        shards.requireTokenizer(tokenizer);
    }

    @Test
    void tokensComeBackFromShardsOfAnySize() {
        roundTrip(1000, 1, 30);
        roundTrip(1000, 7, 500);
        roundTrip(50257, 1000, 500);
        roundTrip(65536, 100, 300);
        roundTrip(65537, 100, 300);
        roundTrip(1 << 20, 64, 300);
        roundTrip(65536, TokenShardsWriter.DEFAULT_SHARD_TOKENS, 700_000); // more than one checksum block
    }

    @Test
    void filesHaveTheHeaderOfLlmC() throws IOException {
        write(directory.resolve("t"), new Vocabulary(50257), List.of(new int[] {1, 2, 40000}), 100);
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(directory.resolve("t/tokens-00000.bin")))
                .order(ByteOrder.LITTLE_ENDIAN);
        assertThat(file.capacity()).isEqualTo(1024 + 8);
        assertThat(file.getInt()).isEqualTo(20240520);
        assertThat(file.getInt()).isEqualTo(1);
        assertThat(file.getInt()).isEqualTo(4);
        assertThat(file.getShort(1024) & 0xFFFF).isEqualTo(50256);
        assertThat(file.getShort(1030) & 0xFFFF).isEqualTo(40000);
    }

    @Test
    void encodedTextIsTheSameInMemoryAndOnDisk() {
        List<String> documents = WordNetCorpus.load(3).heldOut();
        ByteLevelBpeTokenizer tokenizer = new ByteLevelBpeTrainer(600).train(documents);
        TokenShards shards =
                TokenShardsWriter.write(directory.resolve("wordnet"), tokenizer, TextPiece.documents(documents));
        TokenArray array = TokenArray.encode(tokenizer, TextPiece.documents(documents));
        assertThat(shards.tokens()).isEqualTo(array.tokens());
        int[] one = new int[(int) array.tokens()];
        int[] two = new int[one.length];
        shards.read(0, one, 0, one.length);
        array.read(0, two, 0, two.length);
        assertThat(one).isEqualTo(two);
        assertThat(shards.documents()).isEqualTo(documents.size());
        long bytes = documents.stream()
                .mapToLong(d -> d.getBytes(StandardCharsets.UTF_8).length + 1)
                .sum();
        assertThat(BitsPerByte.bytes(shards, tokenizer)).isEqualTo(bytes);
        shards.requireTokenizer(tokenizer);
        assertThatThrownBy(() -> shards.requireTokenizer(LETTERS))
                .hasMessageContaining("600")
                .hasMessageContaining("27");
        ByteLevelBpeTokenizer other = new ByteLevelBpeTrainer(600).train(documents.subList(0, 500));
        assertThatThrownBy(() -> shards.requireTokenizer(other)).hasMessageContaining("another tokenizer");
    }

    @Test
    void everyDamagedByteIsFoundAndNamed() throws IOException {
        Path target = directory.resolve("t");
        Random random = new Random(1);
        write(target, new Vocabulary(900), List.of(random(random, 300, 899), random(random, 200, 899)), 256);
        List<Path> files;
        try (Stream<Path> list = Files.list(target)) {
            files = list.sorted().toList();
        }
        assertThat(files).hasSize(4);
        for (int i = 0; i < 200; i++) {
            Path file = files.get(random.nextInt(files.size()));
            byte[] good = Files.readAllBytes(file);
            byte[] bad = good.clone();
            int at = random.nextInt(bad.length);
            bad[at] ^= (byte) (1 << random.nextInt(8));
            Files.write(file, bad);
            Throwable thrown = catchThrowable(() -> TokenShards.open(target).verify());
            if (file.getFileName().toString().equals("index.json")) {
                // White space of the index means nothing; all else is told by its fingerprint or its format.
                if (thrown != null) {
                    assertThat(thrown.getMessage()).contains(directory.toString());
                } else {
                    assertThat(TokenizerJson.MAPPER.readTree(bad)).isEqualTo(TokenizerJson.MAPPER.readTree(good));
                }
            } else {
                assertThat(thrown).isInstanceOf(CorruptTokensException.class).hasMessageContaining(file.toString());
                assertThat(((CorruptTokensException) thrown).offset()).isLessThanOrEqualTo(at);
            }
            Files.write(file, good);
        }
        TokenShards.open(target).verify();
    }

    @Test
    void truncatedMissingAndLongerFilesAreNamed() throws IOException {
        Path target = directory.resolve("t");
        write(target, new Vocabulary(900), List.of(random(new Random(1), 500, 899)), 256);
        for (String name : List.of("tokens-00000.bin", "tokens-00001.bin", "documents.bin", "index.json")) {
            Path file = target.resolve(name);
            byte[] good = Files.readAllBytes(file);
            for (int length : new int[] {0, 1, good.length / 2, good.length - 2, good.length + 1}) {
                Files.write(file, Arrays.copyOf(good, length));
                assertThatThrownBy(() -> TokenShards.open(target))
                        .isInstanceOf(CorruptTokensException.class)
                        .hasMessageContaining(file.toString());
            }
            Files.delete(file);
            assertThatThrownBy(() -> TokenShards.open(target)).hasMessageContaining(name);
            Files.write(file, good);
        }
        Path index = target.resolve("index.json");
        byte[] good = Files.readAllBytes(index);
        Files.writeString(index, "{\"a\": tru}");
        assertThatThrownBy(() -> TokenShards.open(target))
                .hasMessageStartingWith(index + ", byte 6: the index is not valid");
        Files.write(index, good);
        TokenShards.open(target).verify();
    }

    @Test
    void damageIsFoundWhenItIsFirstReadAndNotBefore() throws IOException {
        Path target = directory.resolve("t");
        write(target, new Vocabulary(900), List.of(random(new Random(1), 1_500_000, 899)), 2_000_000);
        Path file = target.resolve("tokens-00000.bin");
        byte[] bytes = Files.readAllBytes(file);
        bytes[1024 + (2 << 20) + 5] ^= 1;
        Files.write(file, bytes);
        TokenShards shards = TokenShards.open(target);
        shards.read(0, new int[1 << 20], 0, 1 << 20);
        assertThatThrownBy(() -> shards.read(1 << 20, new int[1], 0, 1))
                .isInstanceOf(CorruptTokensException.class)
                .hasMessageContaining("byte " + (1024 + (2 << 20)));
    }

    @Test
    void nothingIsSeenUntilItIsFinished() throws IOException {
        Path target = directory.resolve("t");
        try (TokenShardsWriter writer = new TokenShardsWriter(target, LETTERS, 100)) {
            writer.add(true, new int[] {1, 2, 3});
            assertThat(target).doesNotExist();
        }
        assertThat(directory).isEmptyDirectory();
        // A writer that was killed leaves its files; the next one takes their place.
        TokenShardsWriter killed = new TokenShardsWriter(target, LETTERS, 2);
        killed.add(true, new int[] {1, 2, 3});
        TokenShards first = write(target, LETTERS, List.of(new int[] {4}), 100);
        assertThat(first.tokens()).isEqualTo(2);
        TokenShards second = write(target, LETTERS, List.of(new int[] {4}, new int[] {5}), 100);
        assertThat(second.tokens()).isEqualTo(4);
        assertThat(second.fingerprint()).isNotEqualTo(first.fingerprint());
        assertThat(Files.list(directory)).containsExactly(target);
    }

    @Test
    void otherFilesAreNeverReplaced() throws IOException {
        Path target = Files.createDirectory(directory.resolve("photos"));
        Files.writeString(target.resolve("holiday.jpg"), "x");
        assertThatThrownBy(() -> new TokenShardsWriter(target, LETTERS, 100))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("something else");
        assertThat(target.resolve("holiday.jpg")).exists();
        assertThatThrownBy(() -> TokenShards.open(target)).hasMessageContaining("holds no tokens");
        try (TokenShardsWriter writer = new TokenShardsWriter(directory.resolve("t"), LETTERS, 100)) {
            assertThatThrownBy(writer::finish).hasMessageContaining("no document");
            assertThatThrownBy(() -> writer.add(true, new int[] {27})).hasMessageContaining("27");
            assertThatThrownBy(() -> writer.add(true, new int[] {26})).hasMessageContaining("begin-of-sentence");
        }
    }
}
