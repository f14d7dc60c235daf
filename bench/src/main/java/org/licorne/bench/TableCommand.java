package org.licorne.bench;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.licorne.bench.result.BenchResults;
import org.licorne.bench.result.ResultTables;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Makes the README's tables from saved results, so that no number there is written by hand. */
@Command(
        name = "table",
        description = "Prints saved results as Markdown, or writes them into a file between two marks.",
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "Example:",
            "  ./licorne bench table bench/results/*.json --into README.md"
        })
final class TableCommand implements Callable<Integer> {
    @Parameters(arity = "1..*", paramLabel = "FILE", description = "Files that --save wrote.")
    private List<Path> files;

    @Option(
            names = "--into",
            paramLabel = "FILE",
            description = "Replace what lies between '" + MarkedFile.BEGIN + "' and '" + MarkedFile.END + "' there.")
    private Path into;

    @Override
    public Integer call() {
        String markdown = ResultTables.markdown(files.stream().map(BenchResults::read).toList());
        if (into == null) {
            Digest.print(markdown);
        } else {
            new MarkedFile(into).replace(markdown);
        }
        return 0;
    }
}
