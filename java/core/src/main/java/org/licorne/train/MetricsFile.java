package org.licorne.train;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes {@code metrics.jsonl}: one JSON object per start, step, evaluation, skipped update and checkpoint. A resumed
 * run cuts off what was written after the checkpoint it goes on from. Whoever opens it closes it. Not thread-safe.
 */
public final class MetricsFile implements TrainingListener, AutoCloseable {
    /** Its name in the model's directory. */
    public static final String FILE_NAME = "metrics.jsonl";

    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path file;
    private BufferedWriter writer;

    /** Creates nothing yet; {@link #started} does. @param directory the model's */
    public MetricsFile(Path directory) {
        this.file = directory.resolve(FILE_NAME);
    }

    @Override
    public void started(TrainerConfig config, long firstStep) {
        try {
            Files.createDirectories(file.toAbsolutePath().getParent());
            List<String> kept = Files.exists(file) ? linesUpTo(firstStep) : List.of();
            Path aside = file.resolveSibling(FILE_NAME + ".part");
            Files.write(aside, kept);
            Files.move(aside, file, StandardCopyOption.REPLACE_EXISTING);
            writer = Files.newBufferedWriter(file, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException("metrics cannot be written to " + file + ": " + e.getMessage(), e);
        }
        ObjectNode line = line("start", firstStep);
        config.describe().forEach(line::put);
        write(line);
    }

    private List<String> linesUpTo(long step) throws IOException {
        List<String> kept = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            try {
                JsonNode node = JSON.readTree(line);
                if (node.path("step").asLong(Long.MAX_VALUE) <= step) {
                    kept.add(line);
                }
            } catch (JsonProcessingException e) {
                break; // the last line of a killed run may be cut off
            }
        }
        return kept;
    }

    @Override
    public void step(StepMetrics metrics) {
        ObjectNode line = line("step", metrics.step());
        number(line, "loss", metrics.loss());
        number(line, "learningRate", metrics.learningRate());
        number(line, "gradientNorm", metrics.gradientNorm());
        line.put("tokensSeen", metrics.tokensSeen());
        number(line, "elapsedSeconds", metrics.elapsedSeconds());
        number(line, "tokensPerSecond", metrics.tokensPerSecond());
        number(line, "flopsPerSecond", metrics.flopsPerSecond());
        write(line);
    }

    @Override
    public void evaluated(Evaluation evaluation) {
        ObjectNode line = line("evaluation", evaluation.step());
        number(line, "loss", evaluation.loss());
        line.put("targets", evaluation.targets());
        line.put("best", evaluation.best());
        line.put("tokensSeen", evaluation.tokensSeen());
        number(line, "elapsedSeconds", evaluation.elapsedSeconds());
        write(line);
    }

    @Override
    public void skipped(SkippedUpdate skipped) {
        ObjectNode line = line("skipped", skipped.step());
        number(line, "loss", skipped.loss());
        number(line, "gradientNorm", skipped.gradientNorm());
        line.put("reason", skipped.reason());
        write(line);
    }

    @Override
    public void checkpointed(long step, Path directory) {
        write(line("checkpoint", step).put("directory", directory.getFileName().toString()));
    }

    private static ObjectNode line(String event, long step) {
        return JSON.createObjectNode().put("event", event).put("step", step);
    }

    /** JSON has no NaN: null stands for it. */
    private static void number(ObjectNode line, String key, double value) {
        if (Double.isFinite(value)) {
            line.put(key, value);
        } else {
            line.putNull(key);
        }
    }

    private void write(ObjectNode line) {
        try {
            writer.write(line.toString());
            writer.write('\n');
            writer.flush();
        } catch (IOException e) {
            throw new UncheckedIOException("metrics cannot be written to " + file + ": " + e.getMessage(), e);
        }
    }

    /** Idempotent. */
    @Override
    public void close() {
        if (writer != null) {
            try {
                writer.close();
            } catch (IOException e) {
                throw new UncheckedIOException("metrics cannot be written to " + file + ": " + e.getMessage(), e);
            } finally {
                writer = null;
            }
        }
    }
}
