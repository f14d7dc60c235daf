package org.licorne.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.Set;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.xml.sax.InputSource;

/** How numbers, tables, errors, curves and pages look. */
class ShowingTest {
    @Test
    void quantitiesCarryTheirUnit() {
        assertThat(Quantities.bytes(0)).isEqualTo("0 B");
        assertThat(Quantities.bytes(1536)).isEqualTo("1.50 KiB");
        assertThat(Quantities.bytes(16L << 30)).isEqualTo("16.0 GiB");
        assertThat(Quantities.count(999)).isEqualTo("999");
        assertThat(Quantities.count(124_439_808)).isEqualTo("124 M");
        assertThat(Quantities.duration(Duration.ofSeconds(59))).isEqualTo("59 s");
        assertThat(Quantities.duration(Duration.ofSeconds(125))).isEqualTo("2 min 05 s");
        assertThat(Quantities.duration(Duration.ofMinutes(605))).isEqualTo("10 h 05 min");
    }

    @Test
    void aTableKeepsItsColumnsStraightWithWideCharacters() {
        StringWriter text = new StringWriter();
        new TextTable(Set.of(1), "token", "loss")
                .row("台灣", "0.5")
                .row("a", "10.25")
                .print(new PrintWriter(text, true));
        assertThat(text.toString().lines()).containsExactly("token   loss", "台灣     0.5", "a      10.25");
    }

    @Test
    void errorsSayWhatToDo() {
        assertThat(ErrorMessage.of(new UncheckedIOException(new NoSuchFileException("a.txt"))))
                .isEqualTo("there is no file or directory a.txt");
        assertThat(ErrorMessage.of(new AccessDeniedException("/root/x"))).isEqualTo("no permission for /root/x");
        assertThat(ErrorMessage.of(new UncheckedIOException("a.txt: not UTF-8 at byte 3", new IOException("inner"))))
                .isEqualTo("a.txt: not UTF-8 at byte 3");
        assertThat(ErrorMessage.of(new IllegalStateException())).isEqualTo("IllegalStateException");
        assertThat(ErrorMessage.isUnexpected(new NullPointerException())).isTrue();
        assertThat(ErrorMessage.isUnexpected(new IllegalArgumentException("wrong")))
                .isFalse();
    }

    @Test
    void xzProfitsFromWhatItHasSeen() {
        byte[] letters = new byte[4000];
        Random random = new Random(1);
        for (int i = 0; i < letters.length; i++) {
            letters[i] = (byte) ('a' + random.nextInt(16));
        }
        String seen = new String(letters, java.nio.charset.StandardCharsets.US_ASCII);
        String fresh = new StringBuilder(seen).reverse().toString();
        assertThat(XzBaseline.bitsPerByte(seen, seen)).isLessThan(0.2);
        assertThat(XzBaseline.bitsPerByte(seen, fresh)).isBetween(4.0, 5.0); // 16 equally likely letters hold 4 bits
        assertThatThrownBy(() -> XzBaseline.bitsPerByte(seen, "")).hasMessageContaining("no held-out text");
    }

    @Test
    void progressOnNoTerminalIsOnePlainLine() {
        StringWriter text = new StringWriter();
        try (TrainingProgress progress = new TrainingProgress(new PrintWriter(text), false)) {
            progress.update(0.25, 7, 4.5, 1234.4, OptionalDouble.of(0.41), Duration.ofSeconds(90));
            progress.update(0.26, 8, 4.4, 1234.4, OptionalDouble.empty(), Duration.ofSeconds(89));
        }
        assertThat(text.toString().strip())
                .isEqualTo("25 %  step 7  loss 4.500  1234 tokens/s  41 % of peak  1 min 30 s left");
    }

    @Test
    void theLossCurveIsAPictureWithSomethingOnIt(@TempDir Path directory) throws IOException {
        LossChart chart = new LossChart("a run");
        for (int step = 1; step <= 2000; step++) {
            chart.training(step * 512L, 8 / Math.sqrt(step));
        }
        chart.validation(1_000_000, 1);
        Path file = directory.resolve("loss.png");
        assertThat(chart.save(file)).isTrue();
        var image = ImageIO.read(file.toFile());
        assertThat(image.getWidth()).isEqualTo(960);
        assertThat(Arrays.stream(image.getRGB(0, 0, 960, 540, null, 0, 960))
                        .distinct()
                        .count())
                .isGreaterThan(10);
    }

    @Test
    void aRunWithoutStepsHasNoCurve(@TempDir Path directory) throws IOException {
        assertThat(new LossChart("a run").save(directory.resolve("loss.png"))).isFalse();
    }

    @Test
    void thePageIsWellFormedAndEscapesItsText() throws Exception {
        Inspection inspection = new Inspection(
                "<b>\"&台",
                2,
                3,
                List.of(new Inspection.Position(
                        0,
                        5,
                        "<b>{{rows}}\u0007",
                        0.25,
                        1.386,
                        2,
                        List.of(new Inspection.Candidate(5, "\"&台", 0.25)))));
        String page = InspectionPage.of(inspection, "runs/<demo>");
        assertThat(page)
                .doesNotContain("<b>", "{{", "\u0007")
                .contains("&lt;b&gt;", "&quot;&amp;台", "runs/&lt;demo&gt;");
        assertThat(page).doesNotContain("http", "<script");
        String asXml = page.replace("<!DOCTYPE html>", "").replaceAll("<meta [^>]*>", "");
        assertThat(DocumentBuilderFactory.newInstance()
                        .newDocumentBuilder()
                        .parse(new InputSource(new java.io.StringReader(asXml)))
                        .getElementsByTagName("th")
                        .getLength())
                .isEqualTo(7);
    }
}
