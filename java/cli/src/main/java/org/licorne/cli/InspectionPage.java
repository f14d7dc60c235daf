package org.licorne.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** An {@link Inspection} as one self-contained HTML page: no script, nothing fetched, light and dark. */
final class InspectionPage {
    private static final double MOST_RED = 10; // nats; about the loss of a uniform guess among 22,000 tokens

    private InspectionPage() {}

    static String of(Inspection inspection, String modelName) {
        StringBuilder text = new StringBuilder();
        StringBuilder rows = new StringBuilder();
        for (Inspection.Position position : inspection.positions()) {
            text.append(Quantities.format(
                    "<a href=\"#p%d\" style=\"--loss:%.2f\" title=\"loss %.2f\">%s</a>",
                    position.index(),
                    Math.min(1, position.loss() / MOST_RED),
                    position.loss(),
                    escape(position.label())));
            rows.append(row(position)).append('\n');
        }
        String summary = Quantities.format(
                "Model %s: mean loss %.3f nats per token over %d tokens, %.3f bits per byte.",
                escape(modelName), inspection.meanLoss(), inspection.positions().size(), inspection.bitsPerByte());
        return template()
                .replace("{{title}}", "What the model expected")
                .replace("{{summary}}", summary)
                .replace("{{text}}", text)
                .replace("{{rows}}", rows);
    }

    private static String row(Inspection.Position position) {
        StringBuilder candidates = new StringBuilder();
        for (Inspection.Candidate candidate : position.candidates()) {
            candidates.append(Quantities.format(
                    "<li%s style=\"--share:%.1f%%\"><code>%s</code> %.1f %%</li>",
                    candidate.token() == position.token() ? " class=\"true\"" : "",
                    100 * candidate.probability(),
                    escape(candidate.label()),
                    100 * candidate.probability()));
        }
        return Quantities.format(
                "<tr id=\"p%d\"><td class=\"number\" data-name=\"Position\">%d</td>"
                        + "<th scope=\"row\" data-name=\"Token\"><code>%s</code></th>"
                        + "<td class=\"number\" data-name=\"Probability\">%.2f %%</td>"
                        + "<td class=\"number\" data-name=\"Loss\">%.3f</td>"
                        + "<td class=\"number\" data-name=\"Rank\">%d</td>"
                        + "<td data-name=\"Expected\"><ol>%s</ol></td></tr>",
                position.index(),
                position.index(),
                escape(position.label()),
                100 * position.probability(),
                position.loss(),
                position.rank(),
                candidates);
    }

    private static String template() {
        try (InputStream template = InspectionPage.class.getResourceAsStream("inspection.html")) {
            return new String(template.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Text as it may stand in HTML, in attributes too; control characters do not survive. */
    static String escape(String text) {
        StringBuilder escaped = new StringBuilder(text.length() + 16);
        text.codePoints().forEach(point -> {
            switch (point) {
                case '<' -> escaped.append("&lt;");
                case '>' -> escaped.append("&gt;");
                case '&' -> escaped.append("&amp;");
                case '"' -> escaped.append("&quot;");
                case '\'' -> escaped.append("&#39;");
                case '{' -> escaped.append("&#123;"); // so that no text looks like one of the template's gaps
                default -> {
                    if (point >= 0x20 || point == '\n') {
                        escaped.appendCodePoint(point);
                    }
                }
            }
        });
        return escaped.toString();
    }
}
