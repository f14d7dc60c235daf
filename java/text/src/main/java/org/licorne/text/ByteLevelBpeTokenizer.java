package org.licorne.text;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Byte-level BPE as GPT-2 has it: text is cut into words, a word into its UTF-8 bytes, and neighbours are joined in the
 * order of the merges. Gives the ids that Hugging Face's tokenizers give for the same {@code tokenizer.json}, on every
 * JDK and without a native library.
 *
 * <p>Any text can be encoded and comes back byte for byte. The one exception is a lone surrogate, which has no UTF-8
 * form and is taken for U+FFFD.
 *
 * <p>Immutable and thread-safe; nothing to close. Sources: Sennrich et al. 2016 (BPE), Radford et al. 2019 (bytes).
 */
public final class ByteLevelBpeTokenizer extends TableTokenizer {
    /** The name of the token every document begins with, unless a file names another. */
    public static final String END_OF_TEXT = "<|endoftext|>";

    private static final int CACHED_WORDS = 1 << 16;
    private static final int CACHED_WORD_CHARS = 32;

    private final int[] byteTokens;
    private final Merges merges;
    private final Map<String, int[]> words = new ConcurrentHashMap<>();

    /**
     * @param tokens bytes of each token, empty for a special one
     * @param specialTokens names of the special tokens by id
     */
    ByteLevelBpeTokenizer(byte[][] tokens, Merges merges, Map<Integer, String> specialTokens, int beginOfSentence) {
        super(tokens, specialTokens, beginOfSentence);
        this.merges = merges;
        this.byteTokens = new int[256];
        Arrays.fill(byteTokens, -1);
        for (int token = 0; token < tokens.length; token++) {
            if (tokens[token].length == 1 && !specialTokens.containsKey(token)) {
                byteTokens[tokens[token][0] & 0xFF] = token;
            }
        }
        for (int b = 0; b < 256; b++) {
            if (byteTokens[b] < 0) {
                throw new IllegalArgumentException(
                        String.format("the vocabulary has no token for byte 0x%02X: it is not a byte-level one", b));
            }
        }
    }

    /**
     * Makes a tokenizer of a vocabulary whose tokens are spelt in GPT-2's byte alphabet.
     *
     * @param vocabulary id of each token; special tokens may be in it or not
     * @param merges pairs of tokens, first merge first
     * @param specialTokens id of each special token
     */
    static ByteLevelBpeTokenizer of(
            Map<String, Integer> vocabulary,
            List<String[]> merges,
            Map<String, Integer> specialTokens,
            String beginOfSentence) {
        int size = 0;
        for (int id : vocabulary.values()) {
            size = Math.max(size, id + 1);
        }
        for (int id : specialTokens.values()) {
            size = Math.max(size, id + 1);
        }
        Map<Integer, String> specials = new TreeMap<>();
        specialTokens.forEach((name, id) -> specials.put(id, name));
        byte[][] tokens = new byte[size][];
        for (Map.Entry<String, Integer> entry : vocabulary.entrySet()) {
            int id = entry.getValue();
            if (id < 0 || tokens[id] != null) {
                throw new IllegalArgumentException(
                        "id " + id + " of token \"" + entry.getKey() + "\" is negative or taken twice");
            }
            byte[] bytes = specials.containsKey(id) ? new byte[0] : ByteAlphabet.bytes(entry.getKey());
            if (bytes == null) {
                throw new IllegalArgumentException(
                        "token \"" + entry.getKey() + "\" (id " + id + ") is not spelt in the byte alphabet");
            }
            tokens[id] = bytes;
        }
        for (int id = 0; id < size; id++) {
            if (tokens[id] == null) {
                tokens[id] = new byte[0]; // an id that no token has: it can be decoded but never comes from text
            }
        }
        int[] left = new int[merges.size()];
        int[] right = new int[merges.size()];
        int[] merged = new int[merges.size()];
        for (int rank = 0; rank < left.length; rank++) {
            String[] pair = merges.get(rank);
            left[rank] = id(vocabulary, pair[0], rank);
            right[rank] = id(vocabulary, pair[1], rank);
            merged[rank] = id(vocabulary, pair[0] + pair[1], rank);
        }
        Integer begin = specialTokens.get(beginOfSentence);
        if (begin == null) {
            throw new IllegalArgumentException("no special token \"" + beginOfSentence + "\" to begin documents with");
        }
        return new ByteLevelBpeTokenizer(tokens, new Merges(left, right, merged), specials, begin);
    }

    private static int id(Map<String, Integer> vocabulary, String token, int rank) {
        Integer id = vocabulary.get(token);
        if (id == null) {
            throw new IllegalArgumentException(
                    "merge " + (rank + 1) + " needs token \"" + token + "\", which is not in the vocabulary");
        }
        return id;
    }

    /** Names of the special tokens by id. */
    public Map<Integer, String> specialTokens() {
        return specialTokens;
    }

    @Override
    public int[] encode(String text) {
        String wellFormed = TokenText.wellFormed(text);
        TokenList ids = new TokenList(wellFormed.length() / 3 + 8);
        for (int start = 0; start < wellFormed.length(); ) {
            int end = PreTokenizer.end(wellFormed, start);
            String word = wellFormed.substring(start, end);
            int[] cached = words.get(word);
            if (cached == null) {
                cached = encodeWord(word);
                // A few words make up most of any text; what is cached never changes, so that threads cannot disagree.
                if (word.length() <= CACHED_WORD_CHARS && words.size() < CACHED_WORDS) {
                    words.put(word, cached);
                }
            }
            ids.addAll(cached, cached.length);
            start = end;
        }
        return ids.toArray();
    }

    private int[] encodeWord(String word) {
        byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
        int[] symbols = new int[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            symbols[i] = byteTokens[bytes[i] & 0xFF];
        }
        return Arrays.copyOf(symbols, merges.apply(symbols, symbols.length));
    }

    @Override
    public void save(Path directory) {
        Map<String, Integer> vocabulary = new LinkedHashMap<>();
        for (int token = 0; token < tokens.length; token++) {
            String special = specialTokens.get(token);
            if (special != null || tokens[token].length > 0) {
                vocabulary.put(special != null ? special : ByteAlphabet.characters(tokens[token]), token);
            }
        }
        List<String> pairs = new ArrayList<>(merges.count());
        for (int rank = 0; rank < merges.count(); rank++) {
            pairs.add(ByteAlphabet.characters(tokens[merges.left(rank)]) + " "
                    + ByteAlphabet.characters(tokens[merges.right(rank)]));
        }
        TokenizerJson.save(directory, vocabulary, pairs, specialTokens, specialTokens.get(beginOfSentence()), true);
    }
}
