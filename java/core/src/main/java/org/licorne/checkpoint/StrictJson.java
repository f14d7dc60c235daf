package org.licorne.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;

/**
 * Small JSON files: duplicate keys, trailing text and unreasonable sizes are refused, with the file and the byte.
 * Stateless.
 */
public final class StrictJson {
    private static final long LARGEST_FILE = 64 << 20;
    private static final JsonMapper MAPPER = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();
    private static final ObjectWriter WRITER = MAPPER.writer(SerializationFeature.INDENT_OUTPUT);

    /** Where the parser began, and which of its settings would let the text pass. */
    private static final Pattern ASIDE = Pattern.compile("( \\(start marker at |: enable `).*", Pattern.DOTALL);

    private StrictJson() {}

    /** The object in the file. @throws CheckpointException if it cannot be read or is something else */
    static JsonNode readObject(Path file) {
        try {
            if (Files.size(file) > LARGEST_FILE) {
                throw new CheckpointException(
                        file, "the file has " + Files.size(file) + " bytes, far more than such a file needs", null);
            }
            JsonNode node = MAPPER.readTree(Files.readAllBytes(file));
            if (!node.isObject()) {
                throw new CheckpointException(file, "the file does not hold a JSON object", null);
            }
            return node;
        } catch (JsonProcessingException e) {
            long offset = e.getLocation() == null ? -1 : e.getLocation().getByteOffset();
            throw new CheckpointException(
                    file, null, offset, "the file is not valid JSON: " + reason(e), "Mend it or get it again", e);
        } catch (IOException e) {
            throw Storage.failure(file, "cannot be read", e);
        }
    }

    /** What the parser says, without what only its programmers need. */
    public static String reason(JsonProcessingException e) {
        String message = e.getOriginalMessage();
        if (message.startsWith("Trailing token")) {
            return "something follows its end";
        }
        return ASIDE.matcher(message).replaceFirst("");
    }

    /** The value as indented JSON in UTF-8, with a newline at the end. */
    static byte[] bytes(JsonNode value) {
        try {
            return (WRITER.writeValueAsString(value) + "\n").getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a tree of values is always written", e);
        }
    }
}
