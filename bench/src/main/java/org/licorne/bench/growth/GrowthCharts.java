package org.licorne.bench.growth;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import org.knowm.xchart.VectorGraphicsEncoder;
import org.knowm.xchart.VectorGraphicsEncoder.VectorGraphicsFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendLayout;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.Styler.YAxisPosition;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;
import org.licorne.bench.result.BenchResults;
import org.licorne.bench.result.GrowthResult;
import org.licorne.bench.result.GrowthResult.Axis;

/**
 * Draws how cost grows, as SVG: of each axis the tokens per second, and the seconds and bytes of a step. All axes are
 * logarithmic, one line of the grid for a doubling; the ground is white, so that a dark page shows them as well. The
 * same results give the same bytes.
 */
public final class GrowthCharts {
    private static final Color TEXT = new Color(0x24, 0x29, 0x2F);
    private static final Color GRID = new Color(0xDD, 0xE1, 0xE6);
    private static final Map<String, Color> COLOURS =
            Map.of("fp32", new Color(0x1F, 0x5F, 0xA8), "bf16", new Color(0xC2, 0x4E, 0x00));
    private static final BasicStroke SOLID = new BasicStroke(2.4f, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND);
    private static final BasicStroke DASHED =
            new BasicStroke(2f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 1, new float[] {7, 5}, 0);
    private static final Pattern DECIMALS = Pattern.compile("(\\d\\.\\d\\d)\\d+");
    private static final Pattern CLIP = Pattern.compile("clip-?\\d+");
    private static final Map<String, Marker> MARKERS =
            Map.of("fp32", SeriesMarkers.CIRCLE, "bf16", SeriesMarkers.DIAMOND);
    private static final Map<String, Marker> MEMORY_MARKERS =
            Map.of("fp32", SeriesMarkers.SQUARE, "bf16", SeriesMarkers.TRIANGLE_UP);
    private static final int MEMORY_AXIS = 1;
    /** Of a doubling: a model of 1,026 million parameters stands for 1,024. */
    private static final double SLACK = 0.1;

    private static final int WIDTH = 760;
    private static final int HEIGHT = 460;

    private GrowthCharts() {}

    /**
     * A picture in a file.
     *
     * @param file the SVG
     * @param title what it shows
     */
    public record Picture(Path file, String title) {}

    /** Draws what the results hold, in files named after theirs and beside it. */
    public static List<Picture> draw(BenchResults results, Path file) {
        List<Picture> pictures = new ArrayList<>();
        String name = file.getFileName().toString().replaceFirst("\\.json$", "");
        for (Axis axis : Axis.values()) {
            List<GrowthResult> points = results.growth().stream()
                    .filter(point -> point.axis() == axis && point.figures() != null)
                    .sorted(Comparator.comparingDouble(GrowthResult::position))
                    .toList();
            if (points.stream().mapToDouble(GrowthResult::position).distinct().count() < 2) {
                continue; // a point is no curve
            }
            String what = axis == Axis.CONTEXT ? "longer sequences" : "larger models";
            pictures.add(save(
                    speed(points, "Training speed on " + what),
                    file.resolveSibling(name + "-" + axis + "-speed.svg"),
                    "Tokens per second on " + what));
            pictures.add(save(
                    cost(points, "Time and memory of a training step on " + what),
                    file.resolveSibling(name + "-" + axis + "-cost.svg"),
                    "Seconds and bytes of a training step on " + what));
        }
        return pictures;
    }

    private static Picture save(XYChart chart, Path file, String title) {
        try {
            ByteArrayOutputStream svg = new ByteArrayOutputStream();
            VectorGraphicsEncoder.saveVectorGraphic(chart, svg, VectorGraphicsFormat.SVG);
            Files.writeString(file, tidied(svg.toString(StandardCharsets.UTF_8), title));
            return new Picture(file, title);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + file, e);
        }
    }

    /**
     * Letters are drawn as outlines: two decimals halve the file, and a title tells a screen reader what they say.
     * Names of clips are hash codes, and so would be others each time.
     */
    private static String tidied(String svg, String title) {
        String rounded = DECIMALS.matcher(svg).replaceAll("$1");
        Map<String, String> names = new LinkedHashMap<>();
        String named = CLIP.matcher(rounded)
                .replaceAll(found -> names.computeIfAbsent(found.group(), clip -> "clip" + (names.size() + 1)));
        return named.replaceFirst("(<svg [^>]*>)", "$1<title>" + title + "</title>");
    }

    private static XYChart speed(List<GrowthResult> points, String title) {
        XYChart chart = empty(points, title);
        chart.setYAxisTitle("tokens per second");
        ToDoubleFunction<GrowthResult> speed = point -> point.figures().medianTokensPerSecond();
        byPrecision(points).forEach((precision, own) -> add(chart, precision, own, speed, precision, SOLID, MARKERS));
        range(chart, 0, octaves(points, speed));
        return chart;
    }

    private static XYChart cost(List<GrowthResult> points, String title) {
        XYChart chart = empty(points, title);
        chart.setYAxisGroupTitle(0, "seconds per step (solid)");
        chart.setYAxisGroupTitle(MEMORY_AXIS, "peak resident memory, GB (dashed)");
        chart.getStyler().setYAxisGroupPosition(MEMORY_AXIS, YAxisPosition.Right);
        ToDoubleFunction<GrowthResult> seconds = point -> point.figures().medianSeconds();
        ToDoubleFunction<GrowthResult> gigabytes = point -> point.figures().peakResidentBytes() * 1e-9;
        byPrecision(points).forEach((precision, own) -> {
            add(chart, precision + ", seconds", own, seconds, precision, SOLID, MARKERS);
            add(chart, precision + ", memory", own, gigabytes, precision, DASHED, MEMORY_MARKERS)
                    .setYAxisGroup(MEMORY_AXIS);
        });
        int[] left = octaves(points, seconds);
        int[] right = octaves(points, gigabytes);
        int span = Math.max(left[1] - left[0], right[1] - right[0]); // both axes share the lines of the grid
        range(chart, 0, new int[] {left[0], left[0] + span});
        range(chart, MEMORY_AXIS, new int[] {right[0], right[0] + span});
        return chart;
    }

    private static Map<String, List<GrowthResult>> byPrecision(List<GrowthResult> points) {
        return points.stream()
                .collect(Collectors.groupingBy(
                        point -> point.spec().precision(), LinkedHashMap::new, Collectors.toList()));
    }

    private static XYChart empty(List<GrowthResult> points, String title) {
        Axis axis = points.get(0).axis();
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .xAxisTitle(axis == Axis.CONTEXT ? "tokens per sequence" : "millions of parameters")
                .build();
        Font font = new Font(Font.SANS_SERIF, Font.PLAIN, 14);
        chart.getStyler()
                .setChartTitleFont(font.deriveFont(Font.BOLD, 16f))
                .setChartTitleBoxVisible(false)
                .setLegendFont(font)
                .setLegendPosition(LegendPosition.OutsideS)
                .setLegendLayout(LegendLayout.Horizontal)
                .setLegendBorderColor(Color.WHITE)
                .setChartBackgroundColor(Color.WHITE)
                .setPlotBackgroundColor(Color.WHITE)
                .setPlotBorderVisible(false)
                .setChartFontColor(TEXT)
                .setAntiAlias(true);
        int[] octaves = octaves(points, GrowthCharts::across);
        chart.getStyler()
                .setAxisTitleFont(font)
                .setAxisTickLabelsFont(font)
                .setAxisTickLabelsColor(TEXT)
                .setAxisTickMarksColor(GRID)
                .setPlotGridLinesColor(GRID)
                .setPlotGridLinesStroke(new BasicStroke(1))
                .setXAxisMin((double) octaves[0])
                .setXAxisMax((double) octaves[1])
                .setXAxisTickMarkSpacingHint(Math.max(30, 560 / Math.max(1, octaves[1] - octaves[0])))
                .setXAxisTickLabelsFormattingFunction(GrowthCharts::label)
                .setYAxisTickLabelsFormattingFunction(GrowthCharts::label);
        return chart;
    }

    /** Values are drawn by their binary logarithm on a linear axis: XChart's own logarithmic one knows decades only. */
    private static XYSeries add(
            XYChart chart,
            String name,
            List<GrowthResult> points,
            ToDoubleFunction<GrowthResult> value,
            String precision,
            BasicStroke stroke,
            Map<String, Marker> markers) {
        double[] x = points.stream().mapToDouble(point -> log2(across(point))).toArray();
        double[] y = points.stream()
                .mapToDouble(point -> log2(value.applyAsDouble(point)))
                .toArray();
        XYSeries series = chart.addSeries(name, x, y);
        Color colour = COLOURS.getOrDefault(precision, TEXT);
        series.setLineColor(colour).setLineStyle(stroke);
        series.setMarker(markers.getOrDefault(precision, SeriesMarkers.CIRCLE)).setMarkerColor(colour);
        return series;
    }

    private static void range(XYChart chart, int axis, int[] octaves) {
        chart.getStyler().setYAxisMin(axis, (double) octaves[0]).setYAxisMax(axis, (double) octaves[1]);
        chart.getStyler().setYAxisTickMarkSpacingHint(Math.max(20, 300 / Math.max(1, octaves[1] - octaves[0])));
    }

    /** Where a point lies from left to right. */
    private static double across(GrowthResult point) {
        return point.axis() == Axis.PARAMETERS ? point.position() * 1e-6 : point.position();
    }

    /** The powers of two around the values. */
    private static int[] octaves(List<GrowthResult> points, ToDoubleFunction<GrowthResult> value) {
        double[] logs = points.stream()
                .mapToDouble(point -> log2(value.applyAsDouble(point)))
                .toArray();
        int lowest = (int) Math.floor(DoubleStream.of(logs).min().orElseThrow() + SLACK);
        int highest = (int) Math.ceil(DoubleStream.of(logs).max().orElseThrow() - SLACK);
        return new int[] {lowest, Math.max(highest, lowest + 1)};
    }

    private static double log2(double value) {
        return Math.log(value) / Math.log(2);
    }

    /** What a logarithm on an axis stands for; nothing between two powers of two. */
    static String label(double log2) {
        if (Math.abs(log2 - Math.rint(log2)) > 1e-6) {
            return "";
        }
        double value = Math.pow(2, Math.rint(log2));
        return value >= 1
                ? String.format(Locale.ROOT, "%,.0f", value)
                : String.format(Locale.ROOT, "1/%.0f", 1 / value);
    }
}
