package org.licorne.cli;

import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/** {@code help}, which many type before {@code --help}. */
@Command(
        name = "help",
        description = "Explain a command, as its --help does.",
        mixinStandardHelpOptions = true,
        helpCommand = true,
        footer = {"", "Examples:", "  ./licorne help", "  ./licorne help pretrain"})
final class HelpCommand implements Runnable {
    @Parameters(
            index = "0",
            arity = "0..1",
            paramLabel = "COMMAND",
            description = "The command (default: all of them).")
    private String name;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        CommandLine all = spec.parent().commandLine();
        CommandLine explained = name == null ? all : all.getSubcommands().get(name);
        if (explained == null) {
            throw new UnknownCommandException(all, name);
        }
        explained.usage(spec.commandLine().getOut());
    }

    /** Gets suggestions as other misspelt words do, but no place in the line, which this command does not know. */
    private static final class UnknownCommandException extends UnmatchedArgumentException {
        private static final long serialVersionUID = 1L;

        private final String name;

        UnknownCommandException(CommandLine all, String name) {
            super(all, List.of(name));
            this.name = name;
        }

        @Override
        public String getMessage() {
            return "there is no command '" + name + "'";
        }
    }
}
