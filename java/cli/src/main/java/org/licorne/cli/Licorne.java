package org.licorne.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.UnmatchedArgumentException;

/** The {@code licorne} command: the root of all others, and how errors reach the person who typed it. */
@Command(
        name = "./licorne",
        description = "Trains, runs and evaluates GPTs inside the JVM.",
        synopsisSubcommandLabel = "COMMAND",
        mixinStandardHelpOptions = true,
        version = "Licorne 0.1.0",
        sortOptions = false,
        subcommands = {
            DemoCommand.class,
            PretrainCommand.class,
            TokenizeCommand.class,
            GenerateCommand.class,
            InspectCommand.class,
            ConvertCommand.class,
            BackendsCommand.class,
            SizesCommand.class,
            LauncherCommands.Test.class,
            LauncherCommands.Bench.class,
            HelpCommand.class
        },
        footer = {
            "",
            "'./licorne COMMAND --help' explains a command and shows examples.",
            "Where tools are missing, './licorne --yes COMMAND' installs them without asking."
        })
public final class Licorne implements Runnable {
    /** How picocli lists what an option takes, in the words of Java. */
    private static final Pattern ENUM_VALUES =
            Pattern.compile("expected one of \\[(.*?)] \\(case-insensitive\\) but was");

    /** How picocli speaks of an unknown flag among an option's several values. */
    private static final Pattern UNKNOWN_OPTION = Pattern.compile("Unknown option: '(-[^'=]+)");

    @Option(
            names = "--stacktrace",
            scope = ScopeType.INHERIT,
            description = "Show where in the code an error came from.")
    private boolean stacktrace;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    public static void main(String[] arguments) {
        // UTF-8 whatever the locale says: a model's text must not arrive as question marks.
        PrintStream output = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
        PrintStream error = new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8);
        System.setOut(output);
        System.setErr(error);
        int status = commandLine(new PrintWriter(output, true), new PrintWriter(error, true))
                .execute(arguments);
        output.flush();
        System.exit(status);
    }

    /** The whole command, writing to the given streams; for {@link #main} and for tests. */
    static CommandLine commandLine(PrintWriter output, PrintWriter error) {
        CommandLine line = new CommandLine(new Licorne())
                .setOut(output)
                .setErr(error)
                .setColorScheme(Help.defaultColorScheme(Terminal.outputColours()))
                .setUsageHelpWidth(Math.min(110, Terminal.columns()))
                .setUsageHelpAutoWidth(false)
                .setAbbreviatedOptionsAllowed(false)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(Licorne::reportMisuse)
                .setExecutionExceptionHandler(Licorne::reportFailure);
        for (String name : List.of("pretrain", "tokenize")) { // --data takes many names, but no misspelt flag
            line.getSubcommands().get(name).setUnmatchedOptionsAllowedAsOptionParameters(false);
        }
        return line;
    }

    @Override
    public void run() {
        spec.commandLine().usage(spec.commandLine().getOut());
    }

    /** A required option that is missing may be one that is misspelt; picocli looks for missing ones first. */
    private static ParameterException misspelt(ParameterException misuse, CommandLine command, String[] arguments) {
        if (misuse instanceof CommandLine.MissingParameterException) {
            for (String argument : arguments) {
                String name = argument.split("=", 2)[0];
                if (name.matches("--[a-z].*")
                        && !command.getCommandSpec().optionsMap().containsKey(name)
                        && !command.getCommandSpec().root().optionsMap().containsKey(name)) {
                    return new UnmatchedArgumentException(command, List.of(argument));
                }
            }
        }
        return misuse;
    }

    /** What picocli says, without what is not so: a parameter that is missing for no other reason than a misspelt flag. */
    private static String message(ParameterException misuse) {
        String message = misuse.getMessage()
                .replaceFirst("^Error: ", "")
                .replaceFirst("(?s)^(Unknown option: .*?); Expected parameter for .*", "$1");
        return ENUM_VALUES
                .matcher(message)
                .replaceFirst(found -> "expected one of " + found.group(1).toLowerCase(Locale.ROOT) + ", but was");
    }

    private static int reportMisuse(ParameterException reported, String[] arguments) {
        CommandLine command = reported.getCommandLine();
        ParameterException misuse = misspelt(reported, command, arguments);
        PrintWriter error = command.getErr();
        String message = message(misuse);
        error.println(Terminal.errorColours().string("@|bold,red error:|@ ") + message);
        Matcher unknown = UNKNOWN_OPTION.matcher(message);
        boolean amongNames = unknown.find()
                && !(misuse instanceof UnmatchedArgumentException known
                        && !known.getUnmatched().isEmpty());
        UnmatchedArgumentException.printSuggestions(
                amongNames ? new UnmatchedArgumentException(command, List.of(unknown.group(1))) : misuse, error);
        error.println("'" + command.getCommandSpec().qualifiedName() + " --help' shows what it takes.");
        error.flush();
        return CommandLine.ExitCode.USAGE;
    }

    private static int reportFailure(Exception failure, CommandLine command, ParseResult result) {
        PrintWriter error = command.getErr();
        boolean stacktrace = ((Licorne) command.getCommandSpec().root().userObject()).stacktrace;
        if (stacktrace) {
            failure.printStackTrace(error);
        }
        error.println(Terminal.errorColours().string("@|bold,red error:|@ ") + ErrorMessage.of(failure));
        if (!stacktrace && ErrorMessage.isUnexpected(failure)) {
            error.println("This looks like a mistake in Licorne; --stacktrace shows where.");
        }
        error.flush();
        return CommandLine.ExitCode.SOFTWARE;
    }
}
