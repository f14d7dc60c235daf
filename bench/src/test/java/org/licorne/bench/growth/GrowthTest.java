package org.licorne.bench.growth;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.bench.Machine;
import org.licorne.bench.Peaks;
import org.licorne.bench.growth.GrowthCharts.Picture;
import org.licorne.bench.result.BenchResults;
import org.licorne.bench.result.GrowthResult;
import org.licorne.bench.result.GrowthResult.Axis;
import org.licorne.bench.result.PeerResult;
import org.licorne.bench.result.ResultTables;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.Workloads;
import org.xml.sax.SAXException;

/** Cost as work grows: what is measured, kept and drawn. */
class GrowthTest {
    private static final Peaks PEAKS = new Peaks(200e9, 450e9, 800e9, 25e9, 20e9);

    @TempDir
    Path folder;

    @Test
    void batchesKeepTheTokensOfAStepWhileTheyCan() {
        List<GrowthResult> plan = GrowthPlan.contexts("cpu", "gpt2", List.of(64, 2048), 1024, List.of("fp32", "bf16"));
        assertThat(plan).extracting(point -> point.spec().batch()).containsExactly(16, 16, 1, 1);
        assertThat(plan).extracting(GrowthResult::position).containsExactly(64.0, 64.0, 2048.0, 2048.0);
    }

    @Test
    void modelsOfAnyShapeHaveTheParametersTheyAreNamedFor() {
        List<String> shapes = List.of("2x128x2", "4x256x4", "8x384x6", "12x640x10", "20x1024x16", "36x1536x24");
        double[] millions = {1, 4, 16, 64, 256, 1024};
        List<GrowthResult> plan = GrowthPlan.sizes("cpu", shapes, 1, List.of("fp32"));
        for (int i = 0; i < millions.length; i++) {
            assertThat(plan.get(i).parameters() * 1e-6).isBetween(0.9 * millions[i], 1.1 * millions[i]);
            assertThat(plan.get(i).spec().batch()).isEqualTo(1);
        }
        assertThat(Workloads.config(plan.get(5).spec()).heads()).isEqualTo(24);
    }

    @Test
    void whatDoesNotFitSaysHowMuchItTakes() {
        try (Backend backend = Backends.open("reference")) {
            GrowthResult small = GrowthPlan.sizes("reference", List.of("1x16x1"), 1, List.of("fp32"))
                    .get(0);
            assertThat(GrowthPlan.obstacle(small, backend)).isNull();
            GrowthResult large = GrowthPlan.sizes("reference", List.of("96x12288x96"), 1, List.of("fp32"))
                    .get(0);
            assertThat(GrowthPlan.obstacle(large, backend)).contains("GB of memory", "are free");
        }
    }

    @Test
    void partsOfARunAreKeptTogether() {
        BenchResults first = results(point(Axis.CONTEXT, 128, "fp32", 2), point(Axis.CONTEXT, 64, "fp32", 9));
        BenchResults second = results(point(Axis.CONTEXT, 64, "fp32", 1), point(Axis.CONTEXT, 64, "bf16", 0.5));
        assertThat(first.withGrowth(second).growth())
                .extracting(result -> result.figures().medianSeconds())
                .containsExactly(1.0, 0.5, 2.0);
        first.requireSame(Machine.here(), folder);
        Machine here = Machine.here();
        Machine other = new Machine(
                here.name(),
                here.processor(),
                here.processors(),
                here.memoryBytes(),
                here.system(),
                here.jdk(),
                "another",
                here.time());
        assertThatThrownBy(() -> first.requireSame(other, folder)).hasMessageContaining("another --output");
    }

    @Test
    void picturesAreSvgAndAlwaysTheSame() throws IOException, ParserConfigurationException, SAXException {
        List<GrowthResult> points = new ArrayList<>();
        for (String precision : List.of("fp32", "bf16")) {
            for (int context : new int[] {64, 256, 1024, 8192}) {
                points.add(point(Axis.CONTEXT, context, precision, context / (precision.equals("fp32") ? 200.0 : 400)));
            }
        }
        points.add(
                new GrowthResult(Axis.PARAMETERS, points.get(0).spec(), 1_000_000, null, "it takes 99 GB of memory"));
        BenchResults results = results(points.toArray(GrowthResult[]::new));
        List<Picture> pictures = GrowthCharts.draw(results, folder.resolve("growth.json"));
        assertThat(pictures)
                .extracting(picture -> picture.file().getFileName().toString())
                .containsExactly("growth-context-speed.svg", "growth-context-cost.svg");
        String cost = Files.readString(pictures.get(1).file());
        assertThat(cost).contains("<title>Seconds and bytes of a training step on longer sequences</title>");
        byte[] bytes = Files.readAllBytes(pictures.get(0).file());
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setFeature("http://apache.org/xml/features/nonvalidating/load-external-dtd", false);
        assertThat(factory.newDocumentBuilder()
                        .parse(new ByteArrayInputStream(bytes))
                        .getDocumentElement()
                        .getTagName())
                .isEqualTo("svg");
        GrowthCharts.draw(results, folder.resolve("growth.json"));
        assertThat(pictures.get(0).file()).hasBinaryContent(bytes);
        assertThat(GrowthCharts.label(13)).isEqualTo("8,192");
        assertThat(GrowthCharts.label(-2)).isEqualTo("1/4");
        assertThat(GrowthCharts.label(0.5)).isEmpty();
        assertThat(ResultTables.text(results)).contains("since it takes 99 GB of memory", "growing");
    }

    private static BenchResults results(GrowthResult... points) {
        return new BenchResults(Machine.here(), PEAKS, "avx512", 2, List.of(), List.of(), List.of(points));
    }

    private static GrowthResult point(Axis axis, int context, String precision, double seconds) {
        WorkloadSpec spec = new WorkloadSpec(WorkloadSpec.Kind.TRAINING_STEP, "cpu", "gpt2", 1, context, precision);
        PeerResult figures = new PeerResult(
                spec,
                seconds,
                seconds,
                seconds,
                2,
                context,
                1e9 * context,
                0,
                2_500_000_000L + 400_000L * context,
                1,
                0);
        return new GrowthResult(axis, spec, 124_439_808, figures, null);
    }
}
