package org.licorne.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a run was started with, kept in its directory as {@code run.json}, so that {@code --resume} needs no more. */
final class RunFile {
    private static final String FILE_NAME = "run.json";
    private static final ObjectMapper JSON = new ObjectMapper();

    private RunFile() {}

    static boolean exists(Path directory) {
        return Files.exists(directory.resolve(FILE_NAME));
    }

    static void write(Path directory, Map<String, List<String>> options) throws IOException {
        Directories.create(directory);
        Path aside = directory.resolve(FILE_NAME + ".part");
        JSON.writerWithDefaultPrettyPrinter().writeValue(aside.toFile(), new TreeMap<>(options));
        Files.move(aside, directory.resolve(FILE_NAME), StandardCopyOption.REPLACE_EXISTING);
    }

    /** Whether the run in a directory was started with that option. */
    static boolean contains(Path directory, String name) throws IOException {
        return exists(directory)
                && JsonFile.readObject(directory.resolve(FILE_NAME)).has(name);
    }

    /** What a run was started with. */
    static Map<String, List<String>> read(Path directory) throws IOException {
        Map<String, List<String>> options = new TreeMap<>();
        JsonFile.readObject(directory.resolve(FILE_NAME)).fields().forEachRemaining(option -> {
            List<String> values = new ArrayList<>();
            for (JsonNode value : option.getValue()) {
                values.add(value.asText());
            }
            options.put(option.getKey(), values);
        });
        return options;
    }
}
