package org.licorne.text;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Learns a byte-level BPE vocabulary from text: the 256 bytes, then again and again the most frequent pair of
 * neighbours becomes a token, and {@code <|endoftext|>} as the last id.
 *
 * <p>Pair counts are kept up to date instead of counted anew, and a heap gives the next pair, so that the cost per
 * merge is that of the words it touches. The same text gives the same tokenizer whatever the number of threads and the
 * order of the documents: words are counted, sorted, and of pairs with equal counts the one with the lower ids goes
 * first.
 *
 * <p>Not thread-safe while it trains; nothing to close. Source: Sennrich et al. 2016.
 */
public final class ByteLevelBpeTrainer {
    private static final Logger LOG = LoggerFactory.getLogger(ByteLevelBpeTrainer.class);

    /** Smallest vocabulary: the bytes and the special token. */
    public static final int SMALLEST_VOCABULARY = 257;

    /** A pair must be seen this often: a token that stands for one place in the text teaches nothing. */
    private static final int LEAST_COUNT = 2;

    /**
     * Longer words (a megabyte of base64, a genome on one line) are learnt from in pieces of this many bytes: the cost
     * of a merge stays bounded, and no useful token is that long. Encoding does not cut them.
     */
    private static final int LONGEST_WORD = 256;

    private final int vocabularySize;
    private final int threads;

    /** Trains with as many threads as {@code -Dlicorne.threads} or the JVM gives. */
    public ByteLevelBpeTrainer(int vocabularySize) {
        this(vocabularySize, ParallelMap.threads());
    }

    /**
     * @param vocabularySize tokens to learn, the 256 bytes and the special token included
     * @param threads threads that count words
     */
    public ByteLevelBpeTrainer(int vocabularySize, int threads) {
        if (vocabularySize < SMALLEST_VOCABULARY) {
            throw new IllegalArgumentException("vocabulary size " + vocabularySize + " is too small: the 256 bytes and "
                    + ByteLevelBpeTokenizer.END_OF_TEXT + " need " + SMALLEST_VOCABULARY);
        }
        this.vocabularySize = vocabularySize;
        this.threads = threads;
    }

    /**
     * Learns from the texts. Words never span two of them. If the text is too small for the vocabulary asked for, the
     * tokenizer has fewer tokens, and the log says so.
     */
    public ByteLevelBpeTokenizer train(Iterable<String> texts) {
        Map<String, long[]> counts = WordCounts.count(texts, threads);
        if (counts.isEmpty()) {
            throw new IllegalArgumentException("no text to train a tokenizer on: it is empty");
        }
        int[] byteTokens = new int[256];
        byte[][] tokens = new byte[vocabularySize][];
        for (int id = 0; id < 256; id++) {
            byteTokens[ByteAlphabet.ORDER[id] & 0xFF] = id;
            tokens[id] = new byte[] {ByteAlphabet.ORDER[id]};
        }
        Learning learning = new Learning(counts, byteTokens);
        int mergesWanted = vocabularySize - SMALLEST_VOCABULARY;
        TokenList left = new TokenList(mergesWanted);
        TokenList right = new TokenList(mergesWanted);
        TokenList merged = new TokenList(mergesWanted);
        int next = 256;
        while (merged.size() < mergesWanted) {
            Pair pair = learning.best();
            if (pair == null) {
                LOG.warn(
                        "the text has pairs for {} tokens only, {} were asked for: the vocabulary is smaller",
                        next + 1,
                        vocabularySize);
                break;
            }
            left.add(pair.left);
            right.add(pair.right);
            merged.add(next);
            tokens[next] = Arrays.copyOf(tokens[pair.left], tokens[pair.left].length + tokens[pair.right].length);
            System.arraycopy(tokens[pair.right], 0, tokens[next], tokens[pair.left].length, tokens[pair.right].length);
            learning.merge(pair, next);
            next++;
        }
        tokens[next] = new byte[0];
        return new ByteLevelBpeTokenizer(
                Arrays.copyOf(tokens, next + 1),
                new Merges(left.toArray(), right.toArray(), merged.toArray()),
                Map.of(next, ByteLevelBpeTokenizer.END_OF_TEXT),
                next);
    }

    /** Two neighbouring tokens, how often they stand together, and in which words they may. */
    private static final class Pair {
        final int left;
        final int right;
        long count;
        int lastGrown = -1;
        final TokenList words = new TokenList(4);

        Pair(int left, int right) {
            this.left = left;
            this.right = right;
        }
    }

    /** A pair with the count it had when it entered the heap. */
    private record Candidate(long count, Pair pair) implements Comparable<Candidate> {
        @Override
        public int compareTo(Candidate other) {
            if (count != other.count) {
                return Long.compare(other.count, count);
            }
            int byLeft = Integer.compare(pair.left, other.pair.left);
            return byLeft != 0 ? byLeft : Integer.compare(pair.right, other.pair.right);
        }
    }

    /** The words as far as they are merged, and the pairs in them. */
    private static final class Learning {
        private final int[][] words;
        private final long[] counts;
        private final int[] lastMerge;
        private final Map<Long, Pair> pairs = new HashMap<>();
        private final PriorityQueue<Candidate> heap = new PriorityQueue<>();
        private final List<Pair> grown = new ArrayList<>();
        private int current;

        Learning(Map<String, long[]> wordCounts, int[] byteTokens) {
            String[] sorted = wordCounts.keySet().toArray(String[]::new);
            Arrays.sort(sorted);
            List<int[]> symbols = new ArrayList<>(sorted.length);
            List<Long> repeated = new ArrayList<>(sorted.length);
            for (String word : sorted) {
                byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
                for (int from = 0; from < bytes.length; from += LONGEST_WORD) {
                    int[] piece = new int[Math.min(LONGEST_WORD, bytes.length - from)];
                    for (int i = 0; i < piece.length; i++) {
                        piece[i] = byteTokens[bytes[from + i] & 0xFF];
                    }
                    symbols.add(piece);
                    repeated.add(wordCounts.get(word)[0]);
                }
            }
            words = symbols.toArray(int[][]::new);
            counts = repeated.stream().mapToLong(Long::longValue).toArray();
            lastMerge = new int[words.length];
            for (int w = 0; w < words.length; w++) {
                for (int i = 0; i + 1 < words[w].length; i++) {
                    add(words[w][i], words[w][i + 1], w);
                }
            }
            offerGrown();
        }

        private void offerGrown() {
            for (Pair pair : grown) {
                heap.add(new Candidate(pair.count, pair));
            }
            grown.clear();
        }

        private static long key(int left, int right) {
            return (long) left << 32 | right;
        }

        private void add(int left, int right, int word) {
            Pair pair = pairs.computeIfAbsent(key(left, right), k -> new Pair(left, right));
            pair.count += counts[word];
            int n = pair.words.size();
            if (n == 0 || pair.words.get(n - 1) != word) {
                pair.words.add(word);
            }
            if (pair.lastGrown != current) {
                pair.lastGrown = current;
                grown.add(pair);
            }
        }

        private void remove(int left, int right, int word) {
            Pair pair = pairs.get(key(left, right));
            if (pair != null) {
                pair.count -= counts[word];
            }
        }

        /**
         * The most frequent pair, or null when none is frequent enough. Shrunken pairs go back with their new count.
         */
        Pair best() {
            while (true) {
                Candidate top = heap.poll();
                if (top == null) {
                    return null;
                }
                Pair pair = top.pair;
                if (top.count != pair.count) {
                    if (pair.count < top.count && pair.count >= LEAST_COUNT) {
                        heap.add(new Candidate(pair.count, pair));
                    }
                } else if (pair.count >= LEAST_COUNT) {
                    return pair;
                }
            }
        }

        void merge(Pair pair, int token) {
            pairs.remove(key(pair.left, pair.right));
            current = token;
            for (int k = 0; k < pair.words.size(); k++) {
                int word = pair.words.get(k);
                if (lastMerge[word] != token) { // a word may be listed twice
                    lastMerge[word] = token;
                    merge(pair, token, word);
                }
            }
            pair.count = 0;
            offerGrown();
        }

        private void merge(Pair pair, int token, int word) {
            int[] symbols = words[word];
            int n = 0;
            for (int i = 0; i < symbols.length; ) {
                if (i + 1 < symbols.length && symbols[i] == pair.left && symbols[i + 1] == pair.right) {
                    if (n > 0) {
                        remove(symbols[n - 1], pair.left, word);
                        add(symbols[n - 1], token, word);
                    }
                    if (i + 2 < symbols.length) {
                        remove(pair.right, symbols[i + 2], word);
                        add(token, symbols[i + 2], word);
                    }
                    symbols[n++] = token;
                    i += 2;
                } else {
                    symbols[n++] = symbols[i++];
                }
            }
            words[word] = Arrays.copyOf(symbols, n);
        }
    }
}
