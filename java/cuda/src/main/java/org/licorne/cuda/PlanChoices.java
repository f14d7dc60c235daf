package org.licorne.cuda;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which of the proposed plans was the fastest for each shape, kept in a file: two runs on one machine must compute
 * alike bit by bit, and which of two plans measures faster may change from run to run. One file per GPU model and
 * version of the library that proposes. Not thread-safe; several processes may share the file, the first entry for a
 * shape counts.
 */
final class PlanChoices {
    /** System property: the folder of the files, or {@code off} to take what is proposed first without trying. */
    static final String PROPERTY = "licorne.cuda.plans";

    private static final Logger LOG = LoggerFactory.getLogger(PlanChoices.class);

    private final Path file; // null: nothing is tried
    private final Map<String, Integer> choices = new HashMap<>();

    private PlanChoices(Path file) {
        this.file = file;
    }

    /** As the system property says. @param name what the choices hold for: GPU and version */
    static PlanChoices of(String name) {
        String asked = System.getProperty(PROPERTY);
        if ("off".equals(asked)) {
            return none();
        }
        Path folder = asked != null && !asked.isBlank() ? Path.of(asked) : defaultFolder();
        return in(folder.resolve("plans-" + name.replaceAll("[^A-Za-z0-9.]+", "-") + ".txt"));
    }

    private static Path defaultFolder() {
        String cache = System.getenv("XDG_CACHE_HOME");
        Path folder =
                cache != null && !cache.isBlank() ? Path.of(cache) : Path.of(System.getProperty("user.home"), ".cache");
        return folder.resolve("licorne");
    }

    /** Nothing is tried: always the first proposal. */
    static PlanChoices none() {
        return new PlanChoices(null);
    }

    static PlanChoices in(Path file) {
        PlanChoices choices = new PlanChoices(file);
        if (Files.exists(file)) {
            try {
                for (String line : Files.readAllLines(file)) {
                    choices.read(line);
                }
            } catch (IOException e) {
                LOG.warn("cannot read the chosen plans in {}; they are found out anew", file, e);
            }
        }
        return choices;
    }

    private void read(String line) {
        int tab = line.indexOf('\t');
        if (tab > 0) {
            try {
                choices.putIfAbsent(
                        line.substring(0, tab),
                        Integer.parseInt(line.substring(tab + 1).trim()));
            } catch (NumberFormatException e) {
                // a line that another process had not finished; its shape is found out anew
            }
        }
    }

    boolean mayTry() {
        return file != null;
    }

    /** @return the place among the proposals, or -1 if it is not known */
    int find(ProductShape shape) {
        return choices.getOrDefault(shape.toString(), -1);
    }

    void remember(ProductShape shape, int choice) {
        choices.put(shape.toString(), choice);
        try {
            Files.createDirectories(file.getParent());
            Files.write(
                    file,
                    (shape + "\t" + choice + "\n").getBytes(StandardCharsets.UTF_8),
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        } catch (IOException e) {
            LOG.warn("cannot keep the chosen plans in {}; another run may choose others", file, e);
        }
    }
}
