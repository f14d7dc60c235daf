package org.licorne.cli;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Runs commands in this process and catches what they print. */
final class CommandRunner {
    private CommandRunner() {}

    record Outcome(int status, String out, String error) {}

    /** @param command its name and words that hold no space @param more further words, whatever they hold */
    static Object[] words(String command, Object... more) {
        return with(command.split(" "), more);
    }

    /** The words, and more after them. */
    static Object[] with(Object[] words, Object... more) {
        List<Object> all = new ArrayList<>(Arrays.asList(words));
        all.addAll(Arrays.asList(more));
        return all.toArray();
    }

    /** Runs {@link #words}. */
    static Outcome run(String command, Object... more) {
        return run(words(command, more));
    }

    static Outcome run(Object[] words) {
        StringWriter out = new StringWriter();
        StringWriter error = new StringWriter();
        int status = Licorne.commandLine(new PrintWriter(out, true), new PrintWriter(error, true))
                .execute(Arrays.stream(words).map(Object::toString).toArray(String[]::new));
        return new Outcome(status, out.toString(), error.toString());
    }

    static Outcome runWithInput(String input, Object[] words) {
        InputStream before = System.in;
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        try {
            return run(words);
        } finally {
            System.setIn(before);
        }
    }
}
