package org.licorne.bench;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.licorne.bench.growth.GrowthCharts;
import org.licorne.bench.growth.GrowthCharts.Picture;
import org.licorne.bench.result.BenchResults;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Draws saved results again. */
@Command(
        name = "plot",
        description = "Draws what 'growth' saved, as SVG beside the file.",
        mixinStandardHelpOptions = true,
        footer = {"", "Example:", "  ./licorne bench plot bench/results/growth.json"})
final class PlotCommand implements Callable<Integer> {
    @Parameters(arity = "1..*", paramLabel = "FILE", description = "Files that growth wrote.")
    private List<Path> files;

    @Override
    public Integer call() {
        for (Path file : files) {
            List<Picture> pictures = GrowthCharts.draw(BenchResults.read(file), file);
            if (pictures.isEmpty()) {
                throw new IllegalArgumentException(
                        file + " holds nothing to draw: 'growth' must have measured two sizes or more");
            }
            pictures.forEach(picture -> Digest.print("Drew " + picture.file() + System.lineSeparator()));
        }
        return 0;
    }
}
