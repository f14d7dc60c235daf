package org.licorne.bench.gpu;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What JUnit's console said of each test while it ran: all that there is of a run that was stopped, since reports are
 * written at its end.
 */
final class TestFeed {
    private static final Pattern LINE =
            Pattern.compile("(?:JUnit Jupiter|jqwik[^>]*) > (.+) :: (STARTED|SUCCESSFUL|FAILED|ABORTED|SKIPPED)");

    private TestFeed() {}

    /** What is known of a test. @param message of one that failed; else empty */
    record Outcome(String status, String message) {}

    /** The tests by name, in their order; one that began and did not end is STARTED. Empty without a file. */
    static Map<String, Outcome> read(Path file) {
        Map<String, Outcome> outcomes = new LinkedHashMap<>();
        List<String> lines = lines(file);
        for (int i = 0; i < lines.size(); i++) {
            Matcher line = LINE.matcher(lines.get(i).strip());
            if (line.matches()) {
                boolean explained = line.group(2).equals("FAILED") && i + 1 < lines.size();
                String message = explained ? lines.get(i + 1).strip() : "";
                outcomes.put(line.group(1), new Outcome(line.group(2), message));
            }
        }
        return outcomes;
    }

    private static List<String> lines(Path file) {
        if (file == null || !Files.exists(file)) {
            return List.of();
        }
        try {
            // Whatever a process that was killed left at the end.
            return new String(Files.readAllBytes(file), StandardCharsets.UTF_8)
                    .lines()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file, e);
        }
    }
}
