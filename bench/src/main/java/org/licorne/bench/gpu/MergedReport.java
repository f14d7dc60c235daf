package org.licorne.bench.gpu;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Puts the parts' figures into one file, and the goals beside them. The folder holds {@code parts.tsv} (name, status, seconds, a remark), and for
 * each part {@code NAME.json}, if it came to write one.
 */
final class MergedReport {
    private MergedReport() {}

    static int write(Path file, Path folder, PrintStream log) {
        try {
            ObjectNode merged = PartReport.json().createObjectNode();
            Path about = folder.resolve("about.json");
            if (Files.exists(about)) {
                merged.set("about", PartReport.json().readTree(about.toFile()));
            }
            ObjectNode parts = merged.putObject("parts");
            for (String line : Files.readAllLines(folder.resolve("parts.tsv"))) {
                List<String> columns = List.of(line.split("\t", 4));
                if (columns.size() < 4) {
                    throw new IllegalArgumentException("not a part: '" + line + "'");
                }
                ObjectNode part = parts.putObject(columns.get(0));
                part.put("status", columns.get(1)).put("seconds", Double.parseDouble(columns.get(2)));
                if (!columns.get(3).isBlank()) {
                    part.put("remark", columns.get(3));
                }
                addFigures(part, folder.resolve(columns.get(0) + ".json"));
            }
            Bars bars = new Bars(parts);
            bars.addTo(merged.putArray("bars"));
            PartReport.write(file, merged);
            if (bars.any()) {
                log.print(bars.text());
            }
            log.println("Everything is in " + file);
            return 0;
        } catch (IOException e) {
            log.println("cannot put the parts together: " + e);
            return 1;
        }
    }

    /** A part may have been cut off while it wrote; the others are not lost by that. */
    private static void addFigures(ObjectNode part, Path file) throws IOException {
        if (!Files.exists(file)) {
            return;
        }
        try {
            JsonNode figures = PartReport.json().readTree(file.toFile());
            part.set("figures", figures);
        } catch (JacksonException e) {
            part.put("unreadable", e.getOriginalMessage());
        }
    }
}
