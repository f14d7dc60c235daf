package org.licorne.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.licorne.checkpoint.StrictJson;

/** Small JSON files that the commands wrote themselves. */
final class JsonFile {
    private static final ObjectMapper JSON = new ObjectMapper();

    private JsonFile() {}

    /** The object in the file. @throws IOException that names the file if it holds none */
    static JsonNode readObject(Path file) throws IOException {
        JsonNode json;
        try {
            json = JSON.readTree(Files.readAllBytes(file));
        } catch (JsonProcessingException e) {
            throw new IOException(file + " is not valid JSON: " + StrictJson.reason(e) + "; begin anew without it", e);
        }
        if (!json.isObject()) {
            throw new IOException(file + " does not hold a JSON object; begin anew without it");
        }
        return json;
    }
}
