package org.licorne.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;

class PackedDocumentsTest {
    private static final CharacterTokenizer LETTERS = CharacterTokenizer.of("abcdefghijklmnopqrstuvwxyz");
    private static final int BOS = LETTERS.beginOfSentence();

    private static TokenArray tokens(String... documents) {
        return TokenArray.encode(LETTERS, TextPiece.documents(List.of(documents)));
    }

    private static TokenArray alphabet(int documents) {
        String[] texts = new String[documents];
        for (int i = 0; i < documents; i++) {
            texts[i] = "abcdefghijklmnopqrstuvwxyz".substring(i % 20, i % 20 + 1 + i % 6);
        }
        return tokens(texts);
    }

    @Test
    void oneLineIsOneRowWithPadding() {
        CharacterTokenizer tokenizer = CharacterTokenizer.of("\u53F0\u7063\u5927\u5B78");
        TokenArray line = TokenArray.encode(tokenizer, TextPiece.documents(List.of("\u53F0\u7063\u5927\u5B78")));
        int[] text = tokenizer.encode("\u53F0\u7063\u5927\u5B78");
        int bos = tokenizer.beginOfSentence();
        for (PackedDocuments source : List.of(PackedDocuments.training(line, 1), PackedDocuments.validation(line))) {
            int[] inputs = new int[8];
            int[] targets = new int[8];
            source.fill(0, 1, 8, inputs, targets);
            assertThat(inputs).containsExactly(bos, text[0], text[1], text[2], text[3], bos, bos, bos);
            assertThat(targets).containsExactly(text[0], text[1], text[2], text[3], bos, -1, -1, -1);
            assertThat(source.tokens()).isEqualTo(5);
        }
    }

    @Test
    void documentsArePackedEndToEnd() {
        PackedDocuments source = PackedDocuments.validation(tokens("abc", "d", "efgh"));
        int[] inputs = new int[12];
        int[] targets = new int[12];
        source.fill(0, 3, 4, inputs, targets);
        assertThat(inputs).containsExactly(BOS, 0, 1, 2, BOS, 3, BOS, 4, 5, 6, 7, BOS);
        assertThat(targets).containsExactly(0, 1, 2, BOS, 3, BOS, 4, 5, 6, 7, BOS, -1);
        int[] documents = new int[12];
        source.documents(3, 4, inputs, documents);
        assertThat(documents).containsExactly(0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1);
    }

    @Property(tries = 300)
    void batchesArePureFunctionsOfTheirIndex(
            @ForAll long seed, @ForAll @LongRange(max = 1000) long index, @ForAll @IntRange(min = 1, max = 5) int B) {
        TokenArray store = alphabet(40);
        PackedDocuments source = PackedDocuments.training(store, seed);
        int[] first = new int[B * 7];
        int[] firstTargets = new int[B * 7];
        source.fill(index, B, 7, first, firstTargets);
        int[] again = new int[B * 7];
        int[] againTargets = new int[B * 7];
        source.fill(index + 1, B, 7, again, againTargets);
        PackedDocuments.training(alphabet(40), seed).fill(index, B, 7, again, againTargets);
        assertThat(again).isEqualTo(first);
        assertThat(againTargets).isEqualTo(firstTargets);
        // The same rows, cut into batches of one.
        for (int b = 0; b < B; b++) {
            int[] one = new int[7];
            source.fill(index * B + b, 1, 7, one, new int[7]);
            assertThat(one).isEqualTo(Arrays.copyOfRange(first, b * 7, b * 7 + 7));
        }
    }

    @Property(tries = 300)
    void anEpochShowsEachRowOnce(
            @ForAll long seed,
            @ForAll @LongRange(max = 1L << 40) long epoch,
            @ForAll @IntRange(min = 1, max = 3000) int n) {
        BitSet seen = new BitSet();
        for (int i = 0; i < n; i++) {
            long row = Permutation.apply(seed, epoch, i, n);
            assertThat(row).isBetween(0L, n - 1L);
            assertThat(seen.get((int) row)).isFalse();
            seen.set((int) row);
        }
    }

    @Test
    void epochsAreShuffledDifferently() {
        List<Long> one = new ArrayList<>();
        List<Long> two = new ArrayList<>();
        long fixedPoints = 0;
        for (int i = 0; i < 1000; i++) {
            one.add(Permutation.apply(5, 0, i, 1000));
            two.add(Permutation.apply(5, 1, i, 1000));
            fixedPoints += one.get(i) == i ? 1 : 0;
        }
        assertThat(one).isNotEqualTo(two);
        assertThat(fixedPoints).isLessThan(10); // one is expected of a random permutation
    }

    @Test
    void eachEpochOfBatchesShowsAllRowsInAnotherOrder() {
        PackedDocuments source = PackedDocuments.training(alphabet(150), 3);
        int rows = (int) source.rows(5);
        List<List<List<Integer>>> epochs = new ArrayList<>();
        for (int epoch = 0; epoch < 3; epoch++) {
            List<List<Integer>> shown = new ArrayList<>();
            for (int row = 0; row < rows; row++) {
                int[] inputs = new int[5];
                source.fill((long) epoch * rows + row, 1, 5, inputs, new int[5]);
                shown.add(Arrays.stream(inputs).boxed().toList());
            }
            epochs.add(shown);
        }
        assertThat(epochs.get(1)).isNotEqualTo(epochs.get(0)).containsExactlyInAnyOrderElementsOf(epochs.get(0));
        assertThat(epochs.get(2)).isNotEqualTo(epochs.get(1)).containsExactlyInAnyOrderElementsOf(epochs.get(0));
    }

    @Property(tries = 300)
    void validationTakesTheLossOfEachTokenOnce(
            @ForAll @Size(min = 1, max = 12) List<@StringLength(min = 1, max = 9) String> anything,
            @ForAll @IntRange(min = 1, max = 4) int B,
            @ForAll @IntRange(min = 1, max = 9) int T) {
        List<String> documents =
                anything.stream().map(s -> s.replaceAll("[^a-z]", "q")).toList();
        PackedDocuments source = PackedDocuments.validation(TokenArray.encode(LETTERS, TextPiece.documents(documents)));
        List<Integer> targets = new ArrayList<>();
        int[] batchTargets = new int[B * T];
        for (long index = 0; index < source.batches(B, T); index++) {
            source.fill(index, B, T, new int[B * T], batchTargets);
            List<Integer> counted = Arrays.stream(batchTargets)
                    .filter(target -> target >= 0)
                    .boxed()
                    .toList();
            assertThat(counted).isNotEmpty();
            targets.addAll(counted);
        }
        List<Integer> expected = new ArrayList<>();
        for (String document : documents) {
            Arrays.stream(LETTERS.encode(document)).forEach(expected::add);
            expected.add(BOS);
        }
        assertThat(targets).isEqualTo(expected);
        int[] first = new int[B * T];
        source.fill(0, B, T, new int[B * T], first);
        source.fill(source.batches(B, T), B, T, new int[B * T], batchTargets);
        assertThat(batchTargets).isEqualTo(first);
    }

    @Test
    void tokensDoNotDependOnTheNumberOfThreads() {
        List<String> documents = new ArrayList<>();
        for (int i = 0; i < 3000; i++) {
            documents.add("abcdefghijklmnopqrstuvwxyz".repeat(1 + i % 40));
        }
        for (int threads = 1; threads <= 5; threads += 2) {
            TokenList tokens = new TokenList(16);
            CorpusEncoder.encode(LETTERS, TextPiece.documents(documents).iterator(), threads, (begins, piece) -> {
                assertThat(begins).isTrue();
                tokens.addAll(piece, piece.length);
            });
            assertThat(LETTERS.decode(tokens.toArray())).isEqualTo(String.join("", documents));
        }
    }

    @Property(tries = 200)
    void trainingRowsAreFullWhenThereIsEnoughText(@ForAll long seed, @ForAll @IntRange(min = 1, max = 60) int T) {
        PackedDocuments source = PackedDocuments.training(alphabet(20), seed);
        int[] targets = new int[T];
        for (long row = 0; row < source.rows(T); row++) {
            source.fill(row, 1, T, new int[T], targets);
            assertThat(Arrays.stream(targets)).allMatch(target -> target >= 0);
        }
    }

    @Test
    void aStoreIsSplitAtADocument() {
        TokenArray store = alphabet(200);
        TokenSlice.Split split = TokenSlice.split(store, 0.1);
        assertThat(split.training().tokens() + split.heldOut().tokens()).isEqualTo(store.tokens());
        assertThat(split.training().documents() + split.heldOut().documents()).isEqualTo(200);
        assertThat((double) split.heldOut().tokens() / store.tokens()).isCloseTo(0.1, within(0.02));
        int[] token = new int[1];
        split.heldOut().read(0, token, 0, 1);
        assertThat(token[0]).isEqualTo(BOS);
        for (long d = 0; d < split.heldOut().documents(); d++) {
            split.heldOut().read(split.heldOut().documentStart(d), token, 0, 1);
            assertThat(token[0]).isEqualTo(BOS);
        }
        assertThat(split.heldOut().fingerprint()).isNotEqualTo(split.training().fingerprint());
    }

    @Test
    void fewDocumentsAreSplitWithinTheLast() {
        TokenArray store = tokens("abcdefghijklmnopqrstuvwxyz".repeat(10));
        TokenSlice.Split split = TokenSlice.split(store, 0.1);
        assertThat(split.heldOut().tokens()).isEqualTo(26);
        assertThat(split.heldOut().documents()).isEqualTo(1);
        assertThat(split.training().documents()).isEqualTo(1);
        TokenSlice.Split none = TokenSlice.split(tokens("ab"), 0.1);
        assertThat(none.heldOut().tokens()).isZero();
        assertThat(none.heldOut().documents()).isZero();
        assertThatThrownBy(() -> PackedDocuments.validation(none.heldOut())).hasMessageContaining("no tokens");
    }

    @Test
    void bitsPerByteCountTheTextAndTheEndOfEachDocument() {
        TokenArray store = tokens("abc", "de");
        assertThat(BitsPerByte.bytes(store, LETTERS)).isEqualTo(7);
        assertThat(store.tokens()).isEqualTo(7);
        assertThat(BitsPerByte.of(Math.log(256), 7, 7)).isCloseTo(8, within(1e-12));
        assertThat(BitsPerByte.of(Math.log(2), 10, 20)).isCloseTo(0.5, within(1e-12));
        assertThatThrownBy(() -> BitsPerByte.of(1, 0, 5)).isInstanceOf(IllegalArgumentException.class);
    }
}
