package org.licorne.bench;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.licorne.bench.growth.GrowthCharts;
import org.licorne.bench.growth.GrowthCharts.Picture;
import org.licorne.bench.result.BenchResults;
import org.licorne.bench.result.ResultTables;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Makes the README's tables from saved results, so that no number there is written by hand. */
@Command(
        name = "table",
        description = {
            "Prints saved results as Markdown, or writes them into a file between two marks.",
            "",
            "Work among peers that a later file has measured again is left out of the earlier one."
        },
        mixinStandardHelpOptions = true,
        footer = {"", "Example:", "  ./licorne bench table bench/results/*.json --into README.md"})
final class TableCommand implements Callable<Integer> {
    @Parameters(arity = "1..*", paramLabel = "FILE", description = "Files that --save wrote.")
    private List<Path> files;

    @Option(
            names = "--into",
            paramLabel = "FILE",
            description = "Replace what lies between '" + MarkedFile.BEGIN + "' and '" + MarkedFile.END + "' there.")
    private Path into;

    @Option(names = "--brief", description = "Only how ours compares with the fastest peer, and the pictures.")
    private boolean brief;

    @Override
    public Integer call() {
        List<BenchResults> all = files.stream().map(BenchResults::read).toList();
        StringBuilder markdown = new StringBuilder();
        for (int i = 0; i < all.size(); i++) {
            Path file = files.get(i);
            BenchResults results = all.get(i).withoutOutdated(all);
            markdown.append(ResultTables.markdown(results, brief, pictures(results, file)));
        }
        if (into == null) {
            Digest.print(markdown.toString());
        } else {
            new MarkedFile(into).replace(markdown.toString());
        }
        return 0;
    }

    /** Draws what can be drawn, and links to it. */
    private String pictures(BenchResults results, Path file) {
        StringBuilder text = new StringBuilder();
        List<Picture> pictures = GrowthCharts.draw(results, file);
        for (Picture picture : pictures) {
            text.append("![")
                    .append(picture.title())
                    .append("](")
                    .append(link(picture.file()))
                    .append(")\n");
        }
        return pictures.isEmpty() ? "" : text.append('\n').toString();
    }

    /** From the file that the Markdown goes into. */
    private String link(Path picture) {
        Path from = into == null
                ? Path.of("").toAbsolutePath()
                : into.toAbsolutePath().normalize().getParent();
        return from.relativize(picture.toAbsolutePath().normalize()).toString().replace('\\', '/');
    }
}
