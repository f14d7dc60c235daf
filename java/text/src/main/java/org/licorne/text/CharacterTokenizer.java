package org.licorne.text;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.licorne.tokenize.Tokenizer;

/**
 * One token per character (Unicode code point) that a training text has, in the order of their code points, and
 * {@code <|endoftext|>} as the last id. Good for tiny experiments, where each step of the model can be read.
 *
 * <p>A character that the training text lacks cannot be encoded: an {@link IllegalArgumentException} names it and where
 * it stands. Immutable and thread-safe; nothing to close.
 */
public final class CharacterTokenizer implements Tokenizer {
    private final int[] characters;
    private final Map<Integer, Integer> ids = new HashMap<>();

    /** A tokenizer for the characters of the texts. */
    public static CharacterTokenizer of(Iterable<String> texts) {
        BitSet seen = new BitSet();
        for (String text : texts) {
            TokenText.wellFormed(text).codePoints().forEach(seen::set);
        }
        if (seen.isEmpty()) {
            throw new IllegalArgumentException("no text to take characters from: it is empty");
        }
        return new CharacterTokenizer(seen.stream().toArray());
    }

    /** A tokenizer for the characters of one text. */
    public static CharacterTokenizer of(String text) {
        return of(List.of(text));
    }

    CharacterTokenizer(int[] characters) {
        this.characters = characters;
        for (int id = 0; id < characters.length; id++) {
            ids.put(characters[id], id);
        }
    }

    @Override
    public int vocabularySize() {
        return characters.length + 1;
    }

    @Override
    public int beginOfSentence() {
        return characters.length;
    }

    @Override
    public int[] encode(String text) {
        int[] tokens = TokenText.wellFormed(text).codePoints().toArray();
        for (int i = 0; i < tokens.length; i++) {
            Integer id = ids.get(tokens[i]);
            if (id == null) {
                throw new IllegalArgumentException(String.format(
                        "character \"%s\" (U+%04X), number %d of the text, is not among the %d characters this"
                                + " vocabulary was made of",
                        TokenText.label(Character.toString(tokens[i]).getBytes(StandardCharsets.UTF_8)),
                        tokens[i],
                        i + 1,
                        characters.length));
            }
            tokens[i] = id;
        }
        return tokens;
    }

    @Override
    public byte[] bytes(int token) {
        return text(token).getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public String decode(int... tokens) {
        StringBuilder text = new StringBuilder(tokens.length);
        for (int token : tokens) {
            text.append(text(token));
        }
        return text.toString();
    }

    private String text(int token) {
        TokenText.checkToken(token, vocabularySize());
        return token == characters.length ? "" : Character.toString(characters[token]);
    }

    @Override
    public String label(int token) {
        return token == characters.length ? ByteLevelBpeTokenizer.END_OF_TEXT : TokenText.label(bytes(token));
    }

    /** Writes a BPE without merges, which is what Hugging Face's library needs to give the same ids. */
    @Override
    public void save(Path directory) {
        Map<String, Integer> vocabulary = new LinkedHashMap<>();
        for (int id = 0; id < characters.length; id++) {
            vocabulary.put(Character.toString(characters[id]), id);
        }
        vocabulary.put(ByteLevelBpeTokenizer.END_OF_TEXT, characters.length);
        TokenizerJson.save(
                directory,
                vocabulary,
                List.of(),
                Map.of(characters.length, ByteLevelBpeTokenizer.END_OF_TEXT),
                ByteLevelBpeTokenizer.END_OF_TEXT,
                false);
    }

    /**
     * The tokenizer of such a vocabulary, or null when it is not one of single characters with the special token last.
     */
    static CharacterTokenizer ofVocabulary(Map<String, Integer> vocabulary, Map<String, Integer> specialTokens) {
        int last = vocabulary.size() - 1;
        if (last < 1 || !Map.of(ByteLevelBpeTokenizer.END_OF_TEXT, last).equals(specialTokens)) {
            return null;
        }
        int[] characters = new int[last];
        Arrays.fill(characters, -1);
        for (Map.Entry<String, Integer> entry : vocabulary.entrySet()) {
            String name = entry.getKey();
            int id = entry.getValue();
            if (id == last && name.equals(ByteLevelBpeTokenizer.END_OF_TEXT)) {
                continue;
            }
            if (name.codePointCount(0, name.length()) != 1 || id >= last || characters[id] >= 0) {
                return null;
            }
            characters[id] = name.codePointAt(0);
        }
        return new CharacterTokenizer(characters);
    }
}
