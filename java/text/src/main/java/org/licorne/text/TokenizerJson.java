package org.licorne.text;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.licorne.checkpoint.StrictJson;

/** Reads and writes Hugging Face's {@code tokenizer.json} and {@code tokenizer_config.json}. */
final class TokenizerJson {
    static final String FILE = "tokenizer.json";
    static final String CONFIG_FILE = "tokenizer_config.json";
    static final ObjectMapper MAPPER = new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private static final List<String> USUAL_BEGINNINGS =
            List.of(ByteLevelBpeTokenizer.END_OF_TEXT, "<|begin_of_text|>", "<|startoftext|>", "<s>", "<bos>", "[BOS]");

    private TokenizerJson() {}

    /** A file holds something else than a JSON object. */
    static final class NotJsonException extends IllegalArgumentException {
        private static final long serialVersionUID = 1L;

        private final String what;
        private final long offset;

        NotJsonException(Path file, String what, long offset, Exception cause) {
            super(file + " is " + what + " at byte " + offset, cause);
            this.what = what;
            this.offset = offset;
        }

        /** What it is, to follow "is". */
        String what() {
            return what;
        }

        /** Where this shows. */
        long offset() {
            return offset;
        }
    }

    static JsonNode read(Path file) {
        try {
            JsonNode json = MAPPER.readTree(Files.readAllBytes(file));
            if (!json.isObject()) {
                throw new NotJsonException(file, "not a JSON object", 0, null);
            }
            return json;
        } catch (JsonProcessingException e) {
            long offset =
                    e.getLocation() == null ? 0 : Math.max(0, e.getLocation().getByteOffset());
            throw new NotJsonException(file, "not valid JSON: " + StrictJson.reason(e), offset, e);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + e, e);
        }
    }

    /** Id of each token of {@code model.vocab}, in the order of the file. */
    static Map<String, Integer> vocabulary(JsonNode vocabulary, String where) {
        if (!vocabulary.isObject()) {
            throw new IllegalArgumentException(where + " has no vocabulary object");
        }
        Map<String, Integer> ids = new LinkedHashMap<>();
        vocabulary.fields().forEachRemaining(field -> {
            if (!field.getValue().canConvertToInt() || !field.getValue().isIntegralNumber()) {
                throw new IllegalArgumentException(
                        where + ": the id of token \"" + field.getKey() + "\" is " + field.getValue());
            }
            int id = field.getValue().intValue();
            if (id < 0 || id > 1 << 24) {
                throw new IllegalArgumentException(
                        where + ": the id of token \"" + field.getKey() + "\" is " + id + ", not in 0 to 16777216");
            }
            ids.put(field.getKey(), id);
        });
        return ids;
    }

    /** Merges, each {@code "a b"} or {@code ["a", "b"]}. */
    static List<String[]> merges(JsonNode merges, String where) {
        List<String[]> pairs = new ArrayList<>();
        for (JsonNode merge : merges) {
            String[] pair = merge.isArray()
                    ? new String[] {merge.path(0).asText(), merge.path(1).asText()}
                    : merge.asText().split(" ", -1);
            if (pair.length != 2 || pair[0].isEmpty() || pair[1].isEmpty()) {
                throw new IllegalArgumentException(where + ": merge " + (pairs.size() + 1) + " is " + merge);
            }
            pairs.add(pair);
        }
        return pairs;
    }

    /** Id of each special token in {@code added_tokens}. */
    static Map<String, Integer> specialTokens(JsonNode json) {
        Map<String, Integer> ids = new LinkedHashMap<>();
        for (JsonNode token : json.path("added_tokens")) {
            if (token.path("special").asBoolean()) {
                ids.put(token.path("content").asText(), token.path("id").asInt());
            }
        }
        return ids;
    }

    /**
     * The token that documents begin with: what {@code tokenizer_config.json} calls {@code bos_token}, else the first
     * of the usual names that is there, else the only special token.
     */
    static String beginOfSentence(Path directory, Map<String, Integer> specialTokens) {
        Path configFile = directory.resolve(CONFIG_FILE);
        if (Files.exists(configFile)) {
            JsonNode begin = read(configFile).path("bos_token");
            String name = begin.isObject() ? begin.path("content").asText() : begin.asText();
            if (specialTokens.containsKey(name)) {
                return name;
            }
        }
        for (String usual : USUAL_BEGINNINGS) {
            if (specialTokens.containsKey(usual)) {
                return usual;
            }
        }
        if (specialTokens.size() == 1) {
            return specialTokens.keySet().iterator().next();
        }
        throw new IllegalArgumentException(
                directory + ": cannot tell which token begins a document; name it as bos_token" + " in " + CONFIG_FILE
                        + " (special tokens: " + specialTokens.keySet() + ")");
    }

    /** Writes a BPE tokenizer; without {@code byteLevel} its tokens are spelt as they are and text is not cut first. */
    static void save(
            Path directory,
            Map<String, Integer> vocabulary,
            List<String> merges,
            Map<Integer, String> specialTokens,
            String beginOfSentence,
            boolean byteLevel) {
        ObjectNode json = MAPPER.createObjectNode();
        json.put("version", "1.0");
        json.putNull("truncation");
        json.putNull("padding");
        ArrayNode added = json.putArray("added_tokens");
        specialTokens.forEach((id, name) -> added.addObject()
                .put("id", id)
                .put("content", name)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false)
                .put("special", true));
        json.putNull("normalizer");
        if (byteLevel) {
            byteLevel(json.putObject("pre_tokenizer"));
            byteLevel(json.putObject("post_processor")).put("trim_offsets", false);
            byteLevel(json.putObject("decoder"));
        } else {
            json.putNull("pre_tokenizer");
            json.putNull("post_processor");
            json.putObject("decoder").put("type", "Fuse");
        }
        ObjectNode model = json.putObject("model");
        model.put("type", "BPE");
        model.putNull("dropout");
        model.putNull("unk_token");
        model.putNull("continuing_subword_prefix");
        model.putNull("end_of_word_suffix");
        model.put("fuse_unk", false);
        model.put("byte_fallback", false);
        model.put("ignore_merges", false);
        ObjectNode ids = model.putObject("vocab");
        vocabulary.forEach(ids::put);
        ArrayNode pairs = model.putArray("merges");
        merges.forEach(pairs::add);

        ObjectNode config = MAPPER.createObjectNode();
        config.put("tokenizer_class", "PreTrainedTokenizerFast");
        config.put("bos_token", beginOfSentence);
        config.put("eos_token", beginOfSentence);
        config.put("clean_up_tokenization_spaces", false);
        AtomicFile.write(directory.resolve(CONFIG_FILE), config.toPrettyString() + "\n");
        AtomicFile.write(directory.resolve(FILE), json.toPrettyString() + "\n");
    }

    private static ObjectNode byteLevel(ObjectNode node) {
        return node.put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", true);
    }
}
