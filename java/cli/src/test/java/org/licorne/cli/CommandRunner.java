package org.licorne.cli;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;

/** Runs commands in this process and catches what they print. */
final class CommandRunner {
    private CommandRunner() {}

    record Outcome(int status, String out, String error) {}

    static Outcome run(Object... arguments) {
        StringWriter out = new StringWriter();
        StringWriter error = new StringWriter();
        String[] words = new String[arguments.length];
        for (int i = 0; i < words.length; i++) {
            words[i] = arguments[i].toString();
        }
        int status = Licorne.commandLine(new PrintWriter(out, true), new PrintWriter(error, true)).execute(words);
        return new Outcome(status, out.toString(), error.toString());
    }

    static Outcome runWithInput(String input, Object... arguments) {
        InputStream before = System.in;
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        try {
            return run(arguments);
        } finally {
            System.setIn(before);
        }
    }
}
