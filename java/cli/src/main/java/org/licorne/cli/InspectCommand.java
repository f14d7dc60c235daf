package org.licorne.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.licorne.backend.Backend;
import org.licorne.checkpoint.ModelDirectory;
import org.licorne.model.Gpt;
import org.licorne.text.Tokenizers;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Shows, for every token of a text, what a model expected there. */
@Command(
        name = "inspect",
        description = "Show what a model expects at each position of a text, and what it thinks of what came.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {
            "",
            "Examples:",
            "  ./licorne inspect --model runs/demo --text 'unicorn: an imaginary creature'",
            "  ./licorne inspect --model runs/demo --text 'a white horse' --html expected.html",
            "  ./licorne inspect --model runs/demo --text 'a white horse' --json | jq .bitsPerByte"
        })
final class InspectCommand implements Callable<Integer> {
    @Option(names = "--model", required = true, paramLabel = "DIR", description = "The model directory.")
    private Path model;

    @Option(names = "--text", required = true, paramLabel = "TEXT|-", description = "The text; - reads standard input.")
    private String text;

    @Option(
            names = "--top",
            paramLabel = "N",
            defaultValue = "5",
            description = "Candidates shown per position (default: ${DEFAULT-VALUE}).")
    private int top;

    @ArgGroup
    private Form form = new Form();

    @Mixin
    private BackendOptions backendOptions;

    @Spec
    private CommandSpec spec;

    private static final class Form {
        @Option(names = "--json", description = "Print JSON.")
        private boolean json;

        @Option(names = "--html", paramLabel = "FILE", description = "Write a page instead of printing a table.")
        private Path html;
    }

    @Override
    public Integer call() throws IOException {
        if (top < 1) {
            throw new IllegalArgumentException("--top must be at least 1, not " + top);
        }
        if (form.html != null) {
            requireFile(form.html);
        }
        String wanted = StandardInput.orText(text);
        Inspection inspection;
        try (Backend backend = backendOptions.open();
                Gpt gpt = ModelDirectory.load(backend, model)) {
            gpt.computeIn(backendOptions.precision(backend));
            inspection = Inspector.inspect(gpt, Tokenizers.load(model), wanted, top);
        }
        PrintWriter out = spec.commandLine().getOut();
        if (form.json) {
            out.println(new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(inspection));
        } else if (form.html != null) {
            Files.writeString(form.html, InspectionPage.of(inspection, model.toString()), StandardCharsets.UTF_8);
            out.println("Wrote " + form.html.toAbsolutePath());
        } else {
            print(inspection, out);
        }
        return 0;
    }

    /** What is found out before the model has computed is found out in time. */
    private static void requireFile(Path page) {
        if (Files.isDirectory(page)) {
            throw new IllegalArgumentException("--html " + page + " is a directory where a file is needed");
        }
        Path directory = page.toAbsolutePath().getParent();
        if (!Files.isDirectory(directory)) {
            throw new IllegalArgumentException("--html " + page + ": there is no directory " + directory
                    + "; make it first, or write the page elsewhere");
        }
    }

    private static void print(Inspection inspection, PrintWriter out) {
        TextTable table = new TextTable(Set.of(0, 2, 3), "#", "token", "prob.", "loss", "expected");
        for (Inspection.Position position : inspection.positions()) {
            table.row(
                    position.index(),
                    position.label(),
                    percent(position.probability()),
                    Quantities.format("%.3f", position.loss()),
                    expected(position.candidates()));
        }
        table.print(out);
        out.println();
        out.println(Quantities.format(
                "mean loss %.3f nats per token, %.3f bits per byte", inspection.meanLoss(), inspection.bitsPerByte()));
    }

    private static String expected(List<Inspection.Candidate> candidates) {
        return candidates.stream()
                .map(candidate -> candidate.label() + " " + percent(candidate.probability()))
                .collect(Collectors.joining("   "));
    }

    private static String percent(double probability) {
        return Quantities.format("%.1f%%", 100 * probability);
    }
}
