package org.licorne.checkpoint;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.licorne.backend.Backend;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.nn.Parameter;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;
import org.licorne.tokenize.Tokenizer;

/**
 * A model as a Hugging Face GPT-2 directory: {@code config.json}, {@code model.safetensors},
 * {@code generation_config.json} and the tokenizer's files. What is written here opens in Python, and the other way
 * round; only of {@linkplain org.licorne.model.Quantization quantised} models Python reads bf16 alone, since q8 and q4
 * lie in tiles of Licorne's own ({@link SmallWeights}, {@link org.licorne.tensor.DType}). Stateless and thread-safe;
 * two writers of one directory must not run at the same time.
 */
public final class ModelDirectory {
    static final String WRITING = ".model.writing";
    static final String GENERATION = "generation_config.json";

    private static final int GPT2_VOCABULARY = 50257;
    private static final int GPT2_END_OF_TEXT = 50256;
    private static final int COMPARED_FLOATS = 1 << 16;

    private ModelDirectory() {}

    /** The shape of the model in a directory. @throws CheckpointException if it cannot be read or is not a GPT-2 */
    public static GptConfig readConfig(Path directory) {
        requireDirectory(directory);
        return Gpt2Config.read(directory.resolve(Gpt2Config.FILE_NAME));
    }

    /**
     * Loads a model; the caller closes it. Weights go from the mapped file to the backend in small pieces. Files may be
     * sharded, hold F32, F16 or BF16, and name tensors with or without {@code transformer.}. A model that was saved
     * quantised is quantised again, bit by bit: {@link Gpt#weights} says in what; all others have weights in F32.
     *
     * @throws CheckpointException naming the file and tensor if something is missing, damaged or does not fit
     */
    public static Gpt load(Backend backend, Path directory) {
        GptConfig config = readConfig(directory);
        try (Safetensors file = Safetensors.open(directory)) {
            String prefix = file.contains(Gpt2Format.PREFIX + Gpt2Format.TOKEN_TABLE) ? Gpt2Format.PREFIX : "";
            DType weights = SmallWeights.of(file);
            check(file, prefix, config, weights); // before any memory is taken: the configuration may claim anything
            Gpt gpt = Gpt.empty(backend, config, weights);
            try {
                Gpt2Format.entries(config)
                        .forEach(entry -> read(file, prefix + entry.name(), entry, gpt.parameter(entry.name())));
                backend.synchronize();
                return gpt;
            } catch (RuntimeException e) {
                gpt.close();
                throw e;
            }
        }
    }

    /** Every tensor of the model is there in its shape and a type that can be read, and no other. */
    private static void check(Safetensors file, String prefix, GptConfig config, DType weights) {
        Set<String> expected = new HashSet<>();
        Gpt2Format.entries(config).forEach(wanted -> {
            TensorEntry entry = file.entry(prefix + wanted.name());
            if (wanted.isMatrix() && weights != DType.F32) {
                SmallWeights.check(entry, wanted, weights);
            } else {
                checkFloats(entry, wanted);
            }
            expected.add(entry.name());
        });
        for (String name : file.names()) {
            String plain = name.startsWith(prefix) ? name.substring(prefix.length()) : name;
            if (name.equals(Gpt2Format.HEAD)) {
                requireTied(file, prefix + Gpt2Format.TOKEN_TABLE);
            } else if (!expected.contains(name) && !Gpt2Format.isCausalMask(plain)) {
                throw file.entry(name)
                        .error(
                                "a GPT-2 of " + config.layers() + " layers has no such tensor",
                                "See whether config.json belongs to these weights");
            }
        }
    }

    private static void checkFloats(TensorEntry entry, Gpt2Format.Entry wanted) {
        Safetensors.requireShape(entry, wanted.shape());
        if (!entry.type().readsAsFloat()) {
            throw entry.error("its type is " + entry.type() + ", but weights must be F32, F16 or BF16", null);
        }
    }

    /** The head must be the token table: the model has one for both. */
    private static void requireTied(Safetensors file, String tokenTable) {
        TensorEntry head = file.entry(Gpt2Format.HEAD);
        TensorEntry table = file.entry(tokenTable);
        if (!head.shape().equals(table.shape())) {
            throw head.error(
                    "its shape " + head.shapeText() + " is not that of the token table, " + table.shapeText(), null);
        }
        float[] left = new float[COMPARED_FLOATS];
        float[] right = new float[COMPARED_FLOATS];
        for (long done = 0; done < table.elements(); done += COMPARED_FLOATS) {
            int now = (int) Math.min(COMPARED_FLOATS, table.elements() - done);
            file.read(head.name(), done, left, 0, now);
            file.read(table.name(), done, right, 0, now);
            int different = Arrays.mismatch(left, 0, now, right, 0, now);
            if (different >= 0) {
                throw new CheckpointException(
                        head.file(),
                        head.name(),
                        head.fileOffset() + (done + different) * head.type().bytes(),
                        "it differs from the token table, but only tied heads can be run",
                        null,
                        null);
            }
        }
    }

    private static void read(Safetensors file, String name, Gpt2Format.Entry entry, Parameter parameter) {
        if (parameter.dtype() == DType.F32) {
            readFloats(file, name, entry, parameter.tensor());
        } else {
            SmallWeights.read(file, name, entry, parameter);
        }
    }

    /** Reads numbers as F32 or BF16. */
    static void readFloats(Safetensors file, String name, Gpt2Format.Entry entry, Tensor destination) {
        if (!entry.transposed()) {
            file.copyTo(name, destination);
            return;
        }
        long[] written = {0};
        try {
            Transposition.transpose(
                    (first, values, from, count) -> file.read(name, first, values, from, count),
                    entry.shape()[0],
                    entry.shape()[1],
                    (values, from, count) -> {
                        destination.write(written[0], values, from, count);
                        written[0] += count;
                    });
        } catch (IOException e) {
            throw Storage.failure(file.entry(name).file(), "cannot be read", e);
        }
    }

    /** Saves a model with its weights as they are; see {@link #save(Gpt, Tokenizer, Path, ElementType)}. */
    public static void save(Gpt gpt, Tokenizer tokenizer, Path directory) {
        save(Storage.DISK, gpt, tokenizer, directory, gpt.weights() == DType.F32 ? ElementType.F32 : null);
    }

    /**
     * Saves a model. The files are written aside and forced to the disk. Only then do they get their place: a new
     * directory appears as a whole; in one that is there already they replace older ones, one after the other, the
     * weights last, and what else is in it stays.
     *
     * @param tokenizer or null: then the directory keeps the tokenizer it has
     * @param type F32, or BF16 for half the size at three significant digits, which is F32 again when it is loaded
     * @throws IllegalArgumentException if the model is quantised: then its weights can only be saved as they are
     * @throws CheckpointException if the disk is full, permission is denied or writing fails otherwise
     */
    public static void save(Gpt gpt, Tokenizer tokenizer, Path directory, ElementType type) {
        if (type != ElementType.F32 && type != ElementType.BF16) {
            throw new IllegalArgumentException("weights can be saved as F32 or BF16, not as " + type);
        }
        if (gpt.weights() != DType.F32) {
            throw new IllegalArgumentException("the model's weights are " + gpt.weights() + " and not " + type
                    + ": they can only be saved as they are");
        }
        save(Storage.DISK, gpt, tokenizer, directory, type);
    }

    /** @param type of all weights; null for a quantised model */
    static void save(Storage storage, Gpt gpt, Tokenizer tokenizer, Path directory, ElementType type) {
        if (tokenizer != null && tokenizer.vocabularySize() > gpt.config().vocabularySize()) {
            throw new IllegalArgumentException(
                    "the tokenizer has " + tokenizer.vocabularySize() + " ids, more than the model's vocabulary of "
                            + gpt.config().vocabularySize());
        }
        gpt.backend().synchronize();
        boolean whole = Files.notExists(directory);
        Path target = directory.toAbsolutePath().normalize();
        Path aside =
                whole ? target.resolveSibling("." + target.getFileName() + ".writing") : directory.resolve(WRITING);
        try {
            try {
                storage.delete(aside);
                storage.createDirectories(aside);
                writeAll(storage, gpt, tokenizer, aside, type);
                if (whole) {
                    storage.move(aside, target);
                } else {
                    moveAll(storage, aside, directory);
                }
            } catch (IOException | RuntimeException e) {
                try {
                    storage.delete(aside);
                } catch (IOException suppressed) {
                    e.addSuppressed(suppressed);
                }
                throw e;
            }
            storage.delete(aside);
            storage.forceDirectory(whole ? target.getParent() : directory);
        } catch (IOException e) {
            throw Storage.failure(directory, "the model was not saved", e);
        }
    }

    private static void writeAll(Storage storage, Gpt gpt, Tokenizer tokenizer, Path directory, ElementType type)
            throws IOException {
        GptConfig config = gpt.config();
        int endOfText = tokenizer != null
                ? tokenizer.beginOfSentence()
                : config.vocabularySize() == GPT2_VOCABULARY ? GPT2_END_OF_TEXT : -1;
        if (tokenizer != null) {
            tokenizer.save(directory);
            for (Path file : storage.list(directory)) {
                try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    storage.force(channel);
                }
            }
        }
        storage.writeFile(
                directory.resolve(Gpt2Config.FILE_NAME),
                Gpt2Config.bytes(config, type == ElementType.BF16 ? DType.BF16 : gpt.weights(), endOfText));
        storage.writeFile(directory.resolve(GENERATION), generationConfig(endOfText));
        SafetensorsWriter writer = new SafetensorsWriter();
        if (gpt.weights() == DType.F32) {
            writer.metadata("format", "pt"); // Python wants to be told that tensors are laid out as PyTorch would
        } else {
            SmallWeights.describe(writer, gpt.weights());
        }
        Gpt2Format.entries(config).forEach(entry -> add(writer, entry, gpt.parameter(entry.name()), type));
        writer.writeTo(storage, directory.resolve(Safetensors.FILE_NAME));
    }

    private static void add(SafetensorsWriter writer, Gpt2Format.Entry entry, Parameter parameter, ElementType type) {
        if (parameter.dtype() != DType.F32) {
            SmallWeights.add(writer, entry, parameter);
            return;
        }
        Tensor tensor = parameter.tensor();
        ElementType stored = type == null ? ElementType.F32 : type;
        if (entry.transposed()) {
            writer.add(
                    entry.name(),
                    stored,
                    entry.shape(),
                    sink -> Transposition.transpose(tensor::read, tensor.size(0), tensor.size(1), sink::floats));
        } else {
            writer.add(entry.name(), stored, tensor);
        }
    }

    private static byte[] generationConfig(int endOfText) {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        if (endOfText >= 0) {
            json.put("bos_token_id", endOfText);
            json.put("eos_token_id", endOfText);
        }
        json.put("do_sample", true);
        return StrictJson.bytes(json);
    }

    private static void moveAll(Storage storage, Path aside, Path directory) throws IOException {
        List<Path> files = new ArrayList<>(storage.list(aside));
        Path weights = aside.resolve(Safetensors.FILE_NAME);
        files.remove(weights);
        files.add(weights);
        for (Path file : files) {
            storage.move(file, directory.resolve(file.getFileName()));
        }
    }

    private static void requireDirectory(Path directory) {
        if (!Files.isDirectory(directory)) {
            throw new CheckpointException(
                    directory,
                    Files.exists(directory)
                            ? "this is a file and not the directory of a model"
                            : "there is no such directory",
                    "Name a directory with config.json and model.safetensors");
        }
    }
}
