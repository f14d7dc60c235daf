package org.licorne.cli;

import picocli.CommandLine.Help.Ansi;

/**
 * What the launcher found out about the terminal; Java alone cannot tell standard output and error apart. Without the
 * launcher everything counts as a file: no colours, no progress bar.
 */
final class Terminal {
    private Terminal() {}

    /** Whether a person watches standard output. */
    static boolean output() {
        return Boolean.getBoolean("licorne.terminal.output");
    }

    /** Whether a person watches standard error, where progress is shown. */
    static boolean error() {
        return Boolean.getBoolean("licorne.terminal.error");
    }

    static int columns() {
        return Math.max(40, Integer.getInteger("licorne.terminal.columns", 100));
    }

    /** Colours for standard output: only on a terminal, and never where {@code NO_COLOR} is set. */
    static Ansi outputColours() {
        return output() && allowed() ? Ansi.ON : Ansi.OFF;
    }

    /** Colours for standard error. */
    static Ansi errorColours() {
        return error() && allowed() ? Ansi.ON : Ansi.OFF;
    }

    private static boolean allowed() {
        String noColour = System.getenv("NO_COLOR");
        return (noColour == null || noColour.isEmpty()) && !"dumb".equals(System.getenv("TERM"));
    }
}
