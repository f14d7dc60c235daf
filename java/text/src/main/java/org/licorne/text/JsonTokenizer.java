package org.licorne.text;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/**
 * Any byte-level {@code tokenizer.json}, such as those of GPT-NeoX, Llama 3 or Qwen, through Hugging Face's own library
 * (DJL ships its native build for Linux, macOS on ARM and Windows).
 *
 * <p>Text that looks like a special token is plain text. A lone surrogate is taken for U+FFFD. The library is kept
 * offline: it neither downloads anything nor reports its use.
 *
 * <p>Thread-safe. It holds native memory: whoever loads it closes it, or leaves that to the garbage collector.
 */
public final class JsonTokenizer extends TableTokenizer implements AutoCloseable {
    static {
        // DJL looks for CUDA builds to download and reports where it runs, unless told otherwise before it starts.
        setIfAbsent("RUST_FLAVOR", "cpu");
        setIfAbsent("OPT_OUT_TRACKING", "true");
        setIfAbsent("ai.djl.offline", "true");
    }

    private final Path directory;
    private final HuggingFaceTokenizer tokenizer;

    /** Loads {@code tokenizer.json} (and what {@code tokenizer_config.json} says of the begin-of-sentence token). */
    public static JsonTokenizer load(Path directory) {
        Path file = directory.resolve(TokenizerJson.FILE);
        JsonNode json = TokenizerJson.read(file);
        if (!mentions(json.path("decoder"), "ByteLevel")
                && !json.path("decoder").path("type").asText().equals("Fuse")) {
            throw new UnsupportedOperationException(file + ": the decoder is "
                    + json.path("decoder").path("type").asText("missing")
                    + "; only byte-level tokenizers (ByteLevel) and whole characters (Fuse) are supported");
        }
        Map<String, Integer> vocabulary =
                TokenizerJson.vocabulary(json.path("model").path("vocab"), file.toString());
        Map<String, Integer> specials = TokenizerJson.specialTokens(json);
        int beginOfSentence = specials.get(TokenizerJson.beginOfSentence(directory, specials));
        Map<Integer, String> names = new TreeMap<>();
        specials.forEach((name, id) -> names.put(id, name));
        return new JsonTokenizer(
                directory,
                open(withoutSpecialTokens(json, vocabulary, specials), file),
                tokens(json, vocabulary, names),
                names,
                beginOfSentence);
    }

    private JsonTokenizer(
            Path directory,
            HuggingFaceTokenizer tokenizer,
            byte[][] tokens,
            Map<Integer, String> specialTokens,
            int beginOfSentence) {
        super(tokens, specialTokens, beginOfSentence);
        this.directory = directory;
        this.tokenizer = tokenizer;
    }

    private static byte[][] tokens(JsonNode json, Map<String, Integer> vocabulary, Map<Integer, String> specials) {
        boolean byteLevel = mentions(json.path("decoder"), "ByteLevel");
        Map<Integer, byte[]> known = new TreeMap<>();
        vocabulary.forEach((name, id) -> {
            byte[] bytes = byteLevel ? ByteAlphabet.bytes(name) : null;
            known.put(id, bytes != null ? bytes : name.getBytes(StandardCharsets.UTF_8));
        });
        for (JsonNode token : json.path("added_tokens")) {
            known.put(token.path("id").asInt(), token.path("content").asText().getBytes(StandardCharsets.UTF_8));
        }
        specials.keySet().forEach(id -> known.put(id, new byte[0]));
        byte[][] tokens = new byte[known.isEmpty() ? 0 : Collections.max(known.keySet()) + 1][];
        Arrays.setAll(tokens, id -> known.getOrDefault(id, new byte[0])); // an id that no token has stands for nothing
        return tokens;
    }

    private static void setIfAbsent(String property, String value) {
        if (System.getProperty(property) == null && System.getenv(property) == null) {
            System.setProperty(property, value);
        }
    }

    private static boolean mentions(JsonNode decoder, String type) {
        if (decoder.path("type").asText().equals(type)) {
            return true;
        }
        for (JsonNode part : decoder.path("decoders")) {
            if (mentions(part, type)) {
                return true;
            }
        }
        return false;
    }

    /**
     * The library looks for added tokens in the text before anything else. What is special must not be found there, so
     * it is taken out of that list and kept in the vocabulary under a name that text cannot spell. The added tokens
     * that stay go into the vocabulary too: the library numbers anew those that it does not find there.
     */
    private static JsonNode withoutSpecialTokens(
            JsonNode json, Map<String, Integer> vocabulary, Map<String, Integer> specials) {
        ObjectNode copy = json.deepCopy();
        ArrayNode kept = copy.putArray("added_tokens");
        ObjectNode names = (ObjectNode) copy.path("model").path("vocab");
        for (JsonNode token : json.path("added_tokens")) {
            if (!token.path("special").asBoolean()) {
                kept.add(token);
                names.put(token.path("content").asText(), token.path("id").asInt());
            }
        }
        copy.putNull("post_processor");
        copy.putNull("truncation");
        copy.putNull("padding");
        specials.forEach((name, id) -> {
            if (vocabulary.containsKey(name)) {
                names.remove(name);
            }
            names.put("\u0000special\u0000" + name, id);
        });
        return copy;
    }

    private static HuggingFaceTokenizer open(JsonNode json, Path file) {
        byte[] bytes = json.toString().getBytes(StandardCharsets.UTF_8);
        Map<String, String> options = Map.of("addSpecialTokens", "false", "truncation", "false", "padding", "false");
        try {
            return HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(bytes), options);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot load " + file + ": " + e.getMessage(), e);
        } catch (LinkageError e) {
            throw new UnsupportedOperationException(
                    "Hugging Face's tokenizers have no native build for " + System.getProperty("os.name") + " on "
                            + System.getProperty("os.arch") + ", which " + file + " needs",
                    e);
        } catch (RuntimeException e) {
            throw new IllegalArgumentException("cannot load " + file + ": " + e.getMessage(), e);
        }
    }

    @Override
    public int[] encode(String text) {
        if (text.isEmpty()) {
            return new int[0];
        }
        long[] ids = tokenizer.encode(TokenText.wellFormed(text), false, false).getIds();
        int[] result = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
            result[i] = Math.toIntExact(ids[i]);
        }
        return result;
    }

    /** Copies the files that this tokenizer was loaded from. */
    @Override
    public void save(Path target) {
        for (String name : new String[] {TokenizerJson.CONFIG_FILE, TokenizerJson.FILE}) {
            Path source = directory.resolve(name);
            if (Files.exists(source)) {
                try {
                    AtomicFile.write(target.resolve(name), Files.readAllBytes(source));
                } catch (IOException e) {
                    throw new UncheckedIOException("cannot read " + source + ": " + e, e);
                }
            }
        }
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
