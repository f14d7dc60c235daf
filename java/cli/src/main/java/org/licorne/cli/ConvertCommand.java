package org.licorne.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.licorne.backend.Backend;
import org.licorne.checkpoint.ModelDirectory;
import org.licorne.model.Gpt;
import org.licorne.tensor.DType;
import org.licorne.text.Tokenizers;
import org.licorne.tokenize.Tokenizer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Writes a model again with fewer bits per weight. */
@Command(
        name = "convert",
        description = {
            "Write a model into another directory, with fewer bits per weight.",
            "",
            "All commands run such a model as they run the original, but it cannot be trained. What is written in bf16"
                    + " or without quantising opens in Hugging Face's library too; q8 and q4 are Licorne's own."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {
            "",
            "Examples:",
            "  ./licorne convert --model runs/demo --output runs/demo-q8 --quantize q8",
            "  ./licorne convert --model runs/demo --output runs/demo-q4 --quantize q4 --text held-out.txt",
            "  ./licorne convert --model downloads/gpt2-sharded --output runs/gpt2 --quantize none"
        })
final class ConvertCommand implements Callable<Integer> {
    /** What --quantize takes. */
    private enum Target {
        Q8(QuantizationOptions.Format.Q8),
        Q4(QuantizationOptions.Format.Q4),
        BF16(QuantizationOptions.Format.BF16),
        NONE(null);

        private final QuantizationOptions.Format format;

        Target(QuantizationOptions.Format format) {
            this.format = format;
        }

        /** As it is typed. */
        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Option(names = "--model", required = true, paramLabel = "DIR", description = "The model directory.")
    private Path model;

    @Option(
            names = "--output",
            required = true,
            paramLabel = "DIR",
            description = "A directory that does not exist yet.")
    private Path output;

    @Option(
            names = "--quantize",
            required = true,
            paramLabel = "FORMAT",
            description =
                    "What weights are written in: ${COMPLETION-CANDIDATES}; none is 32 bits in one file, whatever the "
                            + "model was in.")
    private Target target;

    @Option(
            names = "--text",
            paramLabel = "FILE",
            description = "Tell what quantising costs in perplexity on this text, which the model has not seen.")
    private Path text;

    @Mixin
    private BackendOptions backendOptions;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        if (target == Target.NONE && text != null) {
            throw new IllegalArgumentException(
                    "--text tells what quantising costs; with --quantize none there is nothing to tell");
        }
        if (Files.exists(output) && !Directories.isEmpty(output)) {
            throw new IllegalArgumentException(
                    output + " exists already, and convert overwrites nothing: name another --output");
        }
        PrintWriter out = spec.commandLine().getOut();
        Tokenizer tokenizer = Tokenizers.load(model);
        int[] tokens = text == null ? null : tokenizer.encode(Files.readString(text));
        try (Backend backend = backendOptions.open();
                Gpt gpt = quantised(backend, tokens, out)) {
            ModelDirectory.save(gpt, tokenizer, output);
        }
        out.println("Wrote " + output + ": " + Quantities.bytes(bytes(output)) + " on the disk instead of "
                + Quantities.bytes(bytes(model)));
        return 0;
    }

    private Gpt quantised(Backend backend, int[] tokens, PrintWriter out) {
        Gpt gpt = ModelDirectory.load(backend, model);
        try {
            if (gpt.weights() != DType.F32) {
                throw new IllegalArgumentException("the weights of " + model + " are in "
                        + gpt.weights().name().toLowerCase(Locale.ROOT) + " already, and what they lost does not come"
                        + " back: convert the original instead");
            }
            gpt.computeIn(backendOptions.precision(backend));
            return target == Target.NONE ? gpt : QuantizationOptions.quantise(gpt, target.format, tokens, text, out);
        } catch (RuntimeException e) {
            gpt.close();
            throw e;
        }
    }

    /** Of the weights. */
    private static long bytes(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            long sum = 0;
            for (Path file : (Iterable<Path>) files::iterator) {
                sum += file.toString().endsWith(".safetensors") ? Files.size(file) : 0;
            }
            return sum;
        }
    }
}
