package org.licorne.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Unmatched;

/** Commands that the launcher script carries out itself, because they need the source tree; here is their help. */
final class LauncherCommands {
    private LauncherCommands() {}

    @Command(
            name = "test",
            description = "Build everything and run every test.",
            mixinStandardHelpOptions = true,
            footer = {
                "",
                "Arguments are handed to Maven. The last line sums all tests; the exit code is 0 only if all passed.",
                "",
                "Examples:",
                "  ./licorne test",
                "  ./licorne test -pl java/core -am"
            })
    static final class Test extends ByLauncher {}

    @Command(
            name = "bench",
            description = "Measure this machine: two minutes, one table.",
            mixinStandardHelpOptions = true,
            footer = {"", "Example:", "  ./licorne bench"})
    static final class Bench extends ByLauncher {}

    private abstract static class ByLauncher implements Runnable {
        @Spec
        private CommandSpec spec;

        @Unmatched
        private String[] arguments;

        @Override
        public void run() {
            throw new CommandLine.ParameterException(
                    spec.commandLine(), "'" + spec.name() + "' needs the source tree: run ./licorne " + spec.name());
        }
    }
}
