package org.licorne.bench.gpu;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * The figures of one part, written anew after each, so that a part that is cut off leaves those it had. Not
 * thread-safe.
 */
final class PartReport {
    /** True where figures are of small sizes, only to try what measures them. */
    static final String TRIAL = "trial";

    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    private final Path file;
    private final ObjectNode root = JSON.createObjectNode();

    PartReport(Path file) {
        this.file = file;
    }

    static ObjectMapper json() {
        return JSON;
    }

    ObjectNode root() {
        return root;
    }

    ArrayNode array(String name) {
        return root.withArray("/" + name);
    }

    /** Puts what is known so far in the place of what was known before. */
    void write() {
        write(file, root);
    }

    static void write(Path file, ObjectNode content) {
        try {
            Path folder = file.toAbsolutePath().getParent();
            Files.createDirectories(folder);
            Path draft = Files.createTempFile(folder, file.getFileName().toString(), ".part");
            Files.writeString(draft, JSON.writeValueAsString(content) + "\n");
            Files.move(draft, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + file, e);
        }
    }
}
