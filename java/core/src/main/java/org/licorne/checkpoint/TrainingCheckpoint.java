package org.licorne.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import org.licorne.tensor.Tensor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One complete checkpoint of a training run, in a directory of its own: {@code state.json}, {@code tensors.safetensors}
 * and {@code checksums.txt}. It got its name only when all of it was on the disk, so a directory of that name is whole;
 * checksums find what was damaged later. {@link CheckpointStore} writes them. Immutable and thread-safe; holds no open
 * files.
 */
public final class TrainingCheckpoint {
    static final String STATE = "state.json";
    static final String TENSORS = "tensors.safetensors";
    static final String CHECKSUMS = "checksums.txt";
    static final long FORMAT = 1;
    static final String DAMAGED = "The checkpoint is damaged; delete its directory to resume from the one before it";

    private static final Logger LOG = LoggerFactory.getLogger(TrainingCheckpoint.class);
    private static final Pattern NAME = Pattern.compile("step-(\\d{10,18})(?:\\.([1-9]\\d{0,8}))?");

    private final Path directory;
    private final long step;
    private final int copy;

    TrainingCheckpoint(Path training, long step, int copy) {
        this.directory = training.resolve(directoryName(step, copy));
        this.step = step;
        this.copy = copy;
    }

    /** @param copy tells checkpoints of the same step apart; the higher number is the later one */
    private static String directoryName(long step, int copy) {
        return String.format(Locale.ROOT, "step-%010d", step) + (copy == 0 ? "" : "." + copy);
    }

    /**
     * The complete checkpoints of a run, oldest first; empty if the directory does not exist. What a killed writer left
     * behind is passed over.
     *
     * @param training the {@code training} directory of a model
     */
    public static List<TrainingCheckpoint> list(Path training) {
        List<TrainingCheckpoint> found = new ArrayList<>();
        try {
            for (Path child : Storage.DISK.list(training)) {
                Matcher name = NAME.matcher(child.getFileName().toString());
                if (name.matches() && Files.isDirectory(child)) {
                    int copy = name.group(2) == null ? 0 : Integer.parseInt(name.group(2));
                    found.add(new TrainingCheckpoint(training, Long.parseLong(name.group(1)), copy));
                }
            }
        } catch (NoSuchFileException e) {
            return found;
        } catch (NotDirectoryException e) {
            throw Storage.failure(training, "holds no checkpoints", e);
        } catch (IOException e) {
            throw Storage.failure(training, "cannot be listed", e);
        }
        found.sort(Comparator.comparingLong(TrainingCheckpoint::step).thenComparingInt(TrainingCheckpoint::copy));
        return found;
    }

    /** The checkpoint of the highest step, or empty if there is none. */
    public static Optional<TrainingCheckpoint> latest(Path training) {
        List<TrainingCheckpoint> all = list(training);
        return all.isEmpty() ? Optional.empty() : Optional.of(all.get(all.size() - 1));
    }

    /**
     * The checkpoint with the lowest measured validation loss, the later one of equals; empty if none was measured. One
     * that is damaged cannot say its loss and is passed over, with a warning.
     */
    public static Optional<TrainingCheckpoint> best(Path training) {
        return best(list(training), unreadable -> {});
    }

    /** @param unreadable is given those that cannot say their loss */
    static Optional<TrainingCheckpoint> best(
            List<TrainingCheckpoint> checkpoints, Consumer<TrainingCheckpoint> unreadable) {
        TrainingCheckpoint best = null;
        double lowest = Double.POSITIVE_INFINITY;
        for (TrainingCheckpoint checkpoint : checkpoints) {
            try {
                double loss = checkpoint.state().validationLoss();
                if (loss <= lowest) {
                    lowest = loss;
                    best = checkpoint;
                }
            } catch (CheckpointException e) {
                LOG.warn("passed over in the search for the best checkpoint: {}", e.getMessage());
                unreadable.accept(checkpoint);
            }
        }
        return Optional.ofNullable(best);
    }

    public Path directory() {
        return directory;
    }

    /** Optimiser steps done when it was written. */
    public long step() {
        return step;
    }

    int copy() {
        return copy;
    }

    /** @throws CheckpointException if the checkpoint is damaged or of another format */
    public TrainingState state() {
        Path file = directory.resolve(STATE);
        verify(STATE);
        JsonNode json = StrictJson.readObject(file);
        long format = integer(file, json, "format");
        if (format != FORMAT) {
            throw new CheckpointException(
                    file,
                    "the checkpoint has format " + format + ", but this version reads format " + FORMAT,
                    "Resume with the version of Licorne that wrote it");
        }
        Map<String, String> configuration = new TreeMap<>();
        object(file, json, "configuration")
                .fields()
                .forEachRemaining(
                        item -> configuration.put(item.getKey(), item.getValue().asText()));
        Map<String, Long> counters = new TreeMap<>();
        JsonNode counted = object(file, json, "counters");
        counted.fieldNames().forEachRemaining(key -> counters.put(key, integer(file, counted, key)));
        try {
            return new TrainingState(
                    integer(file, json, "step"),
                    integer(file, json, "elapsedNanos"),
                    integer(file, json, "tokensSeen"),
                    integer(file, json, "dataPosition"),
                    number(file, json, "validationLoss"),
                    number(file, json, "bestValidationLoss"),
                    json.path("dataFingerprint").asText(),
                    configuration,
                    counters);
        } catch (IllegalArgumentException e) {
            throw damaged(file, -1, e.getMessage(), e);
        }
    }

    /**
     * Copies the checkpoint's tensors into memory. All files are verified first, and nothing is written unless names,
     * shapes and types are exactly those wanted.
     *
     * @throws CheckpointException naming the file and tensor that do not fit
     */
    public void restore(Map<String, Tensor> tensors) {
        verify(STATE);
        verify(TENSORS);
        try (Safetensors file = Safetensors.open(directory.resolve(TENSORS))) {
            for (Map.Entry<String, Tensor> wanted : tensors.entrySet()) {
                TensorEntry entry = file.entry(wanted.getKey());
                Safetensors.requireShape(entry, wanted.getValue().shape());
                if (entry.type() != ElementType.of(wanted.getValue().dtype())) {
                    throw entry.error(
                            "its type is " + entry.type() + " and should be "
                                    + wanted.getValue().dtype(),
                            null);
                }
            }
            for (String name : new TreeSet<>(file.names())) {
                if (!tensors.containsKey(name)) {
                    throw file.entry(name)
                            .error(
                                    "this run has no such tensor",
                                    "Resume with the model and optimiser that wrote the checkpoint");
                }
            }
            tensors.forEach(file::copyTo);
        }
    }

    /** Writes a state; NaN becomes null, which JSON can say. */
    static byte[] bytes(TrainingState state) {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.put("format", FORMAT);
        json.put("step", state.step());
        json.put("elapsedNanos", state.elapsedNanos());
        json.put("tokensSeen", state.tokensSeen());
        json.put("dataPosition", state.dataPosition());
        json.put("validationLoss", finiteOrNull(state.validationLoss()));
        json.put("bestValidationLoss", finiteOrNull(state.bestValidationLoss()));
        json.put("dataFingerprint", state.dataFingerprint());
        ObjectNode configuration = json.putObject("configuration");
        state.configuration().forEach(configuration::put);
        ObjectNode counters = json.putObject("counters");
        state.counters().forEach(counters::put);
        return StrictJson.bytes(json);
    }

    private static Double finiteOrNull(double value) {
        return Double.isFinite(value) ? value : null;
    }

    private static long integer(Path file, JsonNode json, String key) {
        JsonNode value = json.path(key);
        if (!value.isIntegralNumber() || !value.canConvertToLong()) {
            throw damaged(file, -1, "'" + key + "' is not a whole number", null);
        }
        return value.longValue();
    }

    private static double number(Path file, JsonNode json, String key) {
        JsonNode value = json.path(key);
        if (value.isNull()) {
            return Double.NaN;
        }
        if (!value.isNumber()) {
            throw damaged(file, -1, "'" + key + "' is neither a number nor null", null);
        }
        return value.doubleValue();
    }

    private static JsonNode object(Path file, JsonNode json, String key) {
        if (!json.path(key).isObject()) {
            throw damaged(file, -1, "'" + key + "' is not an object", null);
        }
        return json.path(key);
    }

    static String tensorLine(String tensor) {
        return TENSORS + "/" + tensor;
    }

    private ChecksumFile checksums() {
        return ChecksumFile.read(directory.resolve(CHECKSUMS));
    }

    /** Compares a file with the length and checksum noted when it was written. */
    private void verify(String name) {
        Path file = directory.resolve(name);
        ChecksumFile.Line expected = checksums().line(name);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            if (channel.size() != expected.bytes()) {
                if (name.equals(TENSORS)) {
                    openDamaged(file).close(); // it knows which tensor is cut off
                }
                throw damaged(
                        file,
                        Math.min(channel.size(), expected.bytes()),
                        "the file has " + channel.size() + " bytes, but " + expected.bytes() + " were written",
                        null);
            }
            CRC32C checksum = new CRC32C();
            ByteBuffer chunk = ByteBuffer.allocateDirect((int) Math.min(1 << 20, Math.max(1, expected.bytes())));
            while (channel.read(chunk.clear()) >= 0) {
                checksum.update(chunk.flip());
            }
            if (checksum.getValue() != expected.checksum()) {
                if (name.equals(TENSORS)) {
                    throwDamagedTensor();
                }
                throw damaged(
                        file,
                        -1,
                        "the file is not what was written: its CRC-32C is "
                                + String.format("%08x instead of %08x", checksum.getValue(), expected.checksum()),
                        null);
            }
        } catch (IOException e) {
            throw Storage.failure(file, "cannot be read", e);
        }
    }

    /** Names the first tensor whose bytes are not those that were written; returns if the damage lies in the header. */
    private void throwDamagedTensor() {
        ChecksumFile checksums = checksums();
        try (Safetensors file = openDamaged(directory.resolve(TENSORS))) {
            for (String name : file.names()) {
                TensorEntry entry = file.entry(name);
                CRC32C checksum = new CRC32C();
                ByteBuffer chunk = ByteBuffer.allocate((int) Math.min(1 << 20, Math.max(1, entry.bytes())));
                for (long done = 0; done < entry.bytes(); done += chunk.limit()) {
                    chunk.clear().limit((int) Math.min(chunk.capacity(), entry.bytes() - done));
                    file.read(name, done, chunk);
                    checksum.update(chunk.flip());
                }
                if (checksums.has(tensorLine(name))
                        && checksum.getValue()
                                != checksums.line(tensorLine(name)).checksum()) {
                    throw entry.error(
                            "the " + entry.bytes() + " bytes from here on are not those that were written", DAMAGED);
                }
            }
        }
    }

    /** A file that is not what was written; its own faults, which a download would mend, are the checkpoint's. */
    private static Safetensors openDamaged(Path file) {
        try {
            return Safetensors.open(file);
        } catch (CheckpointException e) {
            throw e.withRemedy(DAMAGED);
        }
    }

    private static CheckpointException damaged(Path file, long byteOffset, String problem, Exception cause) {
        return new CheckpointException(file, null, byteOffset, problem, DAMAGED, cause);
    }

    @Override
    public String toString() {
        return directory.toString();
    }
}
