package org.licorne.text;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.Encoding;
import com.knuddels.jtokkit.api.EncodingRegistry;
import com.knuddels.jtokkit.api.EncodingType;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * GPT-2's own tokenizer, with the 50,257 tokens of the published models, through jtokkit.
 *
 * <p>Text that looks like {@code <|endoftext|>} is plain text. A lone surrogate is taken for U+FFFD. jtokkit cuts words
 * with the JDK's regular expressions, so that letters younger than the JDK's Unicode version count as signs.
 *
 * <p>Immutable and thread-safe; nothing to close.
 */
public final class Gpt2Tokenizer extends TableTokenizer {
    private static final int END_OF_TEXT_ID = 50_256;
    private static final String RANKS = "/com/knuddels/jtokkit/r50k_base.tiktoken";

    private final EncodingRegistry registry = Encodings.newLazyEncodingRegistry();
    private final Encoding encoding = registry.getEncoding(EncodingType.R50K_BASE);

    public Gpt2Tokenizer() {
        super(readTokens(), Map.of(END_OF_TEXT_ID, ByteLevelBpeTokenizer.END_OF_TEXT), END_OF_TEXT_ID);
    }

    @Override
    public int[] encode(String text) {
        return encoding.encodeOrdinary(TokenText.wellFormed(text)).toArray();
    }

    @Override
    public void save(Path directory) {
        toByteLevelBpe().save(directory);
    }

    /**
     * The same tokenizer with its merges spelt out, which a {@code tokenizer.json} needs. jtokkit's file ranks tokens
     * and lists no merges: the merge that makes a token joins the two pieces that are left when the token's own bytes
     * are merged with all lower ranks.
     */
    public ByteLevelBpeTokenizer toByteLevelBpe() {
        Map<String, Integer> ids = new HashMap<>();
        for (int id = 0; id < END_OF_TEXT_ID; id++) {
            ids.put(ByteAlphabet.characters(tokens[id]), id);
        }
        List<String[]> merges = new ArrayList<>();
        for (int id = 0; id < END_OF_TEXT_ID; id++) {
            if (tokens[id].length > 1) {
                merges.add(lastTwo(ByteAlphabet.characters(tokens[id]), id, ids));
            }
        }
        return ByteLevelBpeTokenizer.of(
                ids,
                merges,
                Map.of(ByteLevelBpeTokenizer.END_OF_TEXT, END_OF_TEXT_ID),
                ByteLevelBpeTokenizer.END_OF_TEXT);
    }

    private static String[] lastTwo(String token, int rank, Map<String, Integer> ids) {
        List<String> pieces = new ArrayList<>(token.length());
        for (int i = 0; i < token.length(); i++) {
            pieces.add(token.substring(i, i + 1));
        }
        while (pieces.size() > 2) {
            int best = rank;
            int at = -1;
            for (int i = 0; i + 1 < pieces.size(); i++) {
                int joined = ids.getOrDefault(pieces.get(i) + pieces.get(i + 1), Integer.MAX_VALUE);
                if (joined < best) {
                    best = joined;
                    at = i;
                }
            }
            if (at < 0) {
                throw new IllegalStateException("token " + rank + " of r50k_base cannot be made by merging two others");
            }
            pieces.set(at, pieces.get(at) + pieces.remove(at + 1));
        }
        return pieces.toArray(String[]::new);
    }

    /** Lines of the form {@code BASE64 RANK}. */
    private static byte[][] readTokens() {
        byte[][] tokens = new byte[END_OF_TEXT_ID + 1][];
        tokens[END_OF_TEXT_ID] = new byte[0];
        try (InputStream in = Encodings.class.getResourceAsStream(RANKS)) {
            if (in == null) {
                throw new IllegalStateException("jtokkit's jar has no " + RANKS);
            }
            BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.US_ASCII));
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                int space = line.indexOf(' ');
                if (space > 0) {
                    tokens[Integer.parseInt(line.substring(space + 1))] =
                            Base64.getDecoder().decode(line.substring(0, space));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + RANKS + ": " + e, e);
        }
        return tokens;
    }
}
