package org.licorne.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.awt.Color;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The loss curve of a run: training loss and validation loss over the tokens seen. Not thread-safe. */
final class LossChart {
    private static final Logger LOG = LoggerFactory.getLogger(LossChart.class);
    private static final int MOST_POINTS = 600; // more than the picture has columns only makes it slow

    private final String title;
    private final Series training = new Series();
    private final Series validation = new Series();

    LossChart(String title) {
        this.title = title;
    }

    /** The curve that a run's {@code metrics.jsonl} holds, from its first step on, however often it was resumed. */
    static LossChart ofMetrics(Path metrics, String title) throws IOException {
        LossChart chart = new LossChart(title);
        ObjectMapper json = new ObjectMapper();
        try (Stream<String> lines = Files.lines(metrics)) {
            for (String line : (Iterable<String>) lines::iterator) {
                JsonNode event = json.readTree(line);
                long step = event.path("step").asLong();
                JsonNode loss = event.path("loss");
                if (!loss.isNumber()) {
                    continue;
                }
                if (event.path("event").asText().equals("step")) {
                    chart.training(event.path("tokensSeen").asLong(step), loss.asDouble());
                } else if (event.path("event").asText().equals("evaluation")) {
                    chart.validation(event.path("tokensSeen").asLong(step), loss.asDouble());
                }
            }
        }
        return chart;
    }

    void training(long tokens, double loss) {
        training.add(tokens, loss);
    }

    void validation(long tokens, double loss) {
        validation.add(tokens, loss);
    }

    /**
     * Writes a PNG; no display is needed. A machine without fonts cannot draw: that is logged with the remedy and is no
     * reason to lose a run.
     *
     * @return whether the picture was written
     */
    boolean save(Path file) throws IOException {
        if (training.tokens.isEmpty()) {
            return false;
        }
        try {
            BitmapEncoder.saveBitmap(draw(), file.toString(), BitmapFormat.PNG);
            return true;
        } catch (RuntimeException | LinkageError | InternalError e) {
            LOG.warn(
                    "no loss curve in {}: {} (Java draws with the system's fonts; on Debian they are in the packages "
                            + "fontconfig and fonts-dejavu-core)",
                    file,
                    e.toString());
            return false;
        }
    }

    private XYChart draw() {
        XYChart chart = new XYChartBuilder()
                .width(960)
                .height(540)
                .title(title)
                .xAxisTitle("tokens seen (thousands)")
                .yAxisTitle("loss (nats per token)")
                .build();
        chart.getStyler()
                .setLegendPosition(LegendPosition.InsideNE)
                .setChartBackgroundColor(Color.WHITE)
                .setPlotBorderVisible(false);
        Series averaged = training.averaged(MOST_POINTS);
        XYSeries trainingLine = chart.addSeries("training", averaged.tokens, averaged.losses);
        trainingLine.setMarker(SeriesMarkers.NONE).setLineColor(new Color(0x9E, 0xB8, 0xD9));
        if (!validation.tokens.isEmpty()) {
            XYSeries validationLine = chart.addSeries("validation", validation.tokens, validation.losses);
            validationLine.setMarker(SeriesMarkers.CIRCLE).setLineColor(new Color(0x7A, 0x1F, 0x5C));
            validationLine.setMarkerColor(new Color(0x7A, 0x1F, 0x5C));
        }
        return chart;
    }

    private static final class Series {
        private final List<Double> tokens = new ArrayList<>();
        private final List<Double> losses = new ArrayList<>();

        void add(double at, double loss) {
            tokens.add(at / 1000);
            losses.add(loss);
        }

        /** Means over groups of neighbours, so that at most so many points remain. */
        Series averaged(int most) {
            int group = Math.max(1, (tokens.size() + most - 1) / most);
            Series means = new Series();
            for (int from = 0; from < tokens.size(); from += group) {
                int to = Math.min(tokens.size(), from + group);
                means.tokens.add(mean(tokens.subList(from, to)));
                means.losses.add(mean(losses.subList(from, to)));
            }
            return means;
        }

        private static double mean(List<Double> values) {
            return values.stream().mapToDouble(Double::doubleValue).average().orElseThrow();
        }
    }
}
