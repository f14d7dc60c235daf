package org.licorne.cuda;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which of the proposed plans was the fastest for each shape, kept in a file: two runs on one machine must compute
 * alike bit by bit, and which of two plans measures faster may change from run to run. One file per GPU model and
 * version of the library that proposes. Not thread-safe; several processes may share the file, the first entry for a
 * shape counts.
 */
final class PlanChoices {
    /** System property: the folder of the files, or {@code off} to take the first proposal that runs, untimed. */
    static final String PROPERTY = "licorne.cuda.plans";

    /** What an entry means, in the files' names: a file of another format says nothing here. */
    private static final int FORMAT = 2;

    private static final Logger LOG = LoggerFactory.getLogger(PlanChoices.class);

    private static final Pattern ENTRY = Pattern.compile("(.+)\\t(\\d{1,4}) (\\d{1,4})");

    private final Path file; // null: nothing is timed
    private final Map<String, Choice> choices = new HashMap<>();

    /** A plan's place among the proposals of an attempt, both from 0. */
    record Choice(int attempt, int place) {}

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
        return in(folder.resolve("plans-" + FORMAT + "-" + name.replaceAll("[^A-Za-z0-9.]+", "-") + ".txt"));
    }

    private static Path defaultFolder() {
        String cache = System.getenv("XDG_CACHE_HOME");
        Path folder =
                cache != null && !cache.isBlank() ? Path.of(cache) : Path.of(System.getProperty("user.home"), ".cache");
        return folder.resolve("licorne");
    }

    /** Nothing is timed: always the first proposal that runs. */
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
        Matcher entry = ENTRY.matcher(line); // not a line that another process had not finished
        if (entry.matches()) {
            choices.putIfAbsent(
                    entry.group(1), new Choice(Integer.parseInt(entry.group(2)), Integer.parseInt(entry.group(3))));
        }
    }

    boolean mayTry() {
        return file != null;
    }

    /** @return null if it is not known */
    Choice find(ProductShape shape) {
        return choices.get(shape.toString());
    }

    void remember(ProductShape shape, Choice choice) {
        choices.put(shape.toString(), choice);
        try {
            Files.createDirectories(file.getParent());
            Files.write(
                    file,
                    (shape + "\t" + choice.attempt() + " " + choice.place() + "\n").getBytes(StandardCharsets.UTF_8),
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        } catch (IOException e) {
            LOG.warn("cannot keep the chosen plans in {}; another run may choose others", file, e);
        }
    }
}
