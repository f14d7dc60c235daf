package org.licorne.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.licorne.backend.Backend;
import org.licorne.checkpoint.ModelDirectory;
import org.licorne.model.Gpt;
import org.licorne.model.Quantization;
import org.licorne.tensor.DType;
import org.licorne.tokenize.Tokenizer;
import picocli.CommandLine.Option;

/** Options of commands that can run a model with fewer bits per weight. */
final class QuantizationOptions {
    enum Format {
        Q8(DType.Q8),
        Q4(DType.Q4),
        BF16(DType.BF16);

        private final DType weights;

        Format(DType weights) {
            this.weights = weights;
        }

        /** As it is typed. */
        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Option(
            names = "--quantize",
            paramLabel = "FORMAT",
            description = "Weights in fewer bits, which is faster and takes less memory: ${COMPLETION-CANDIDATES}"
                    + " (default: as in the file, in 32 bits).")
    private Format format;

    @Option(
            names = "--quantize-text",
            paramLabel = "FILE",
            description = "With --quantize: tell what it costs in perplexity on this text.")
    private Path text;

    /** Loads a model and quantises it if that was asked for; the caller closes it. */
    Gpt load(Backend backend, Path directory, Tokenizer tokenizer, PrintWriter report) throws IOException {
        if (format == null && text != null) {
            throw new IllegalArgumentException("--quantize-text needs --quantize");
        }
        Gpt gpt = ModelDirectory.load(backend, directory);
        if (format == null) {
            return gpt;
        }
        try {
            return quantise(gpt, format, text == null ? null : tokenizer.encode(Files.readString(text)), text, report);
        } catch (IOException | RuntimeException e) {
            gpt.close();
            throw e;
        }
    }

    /**
     * Quantises a model and reports what it saves and costs.
     *
     * @param gpt is closed, unless this fails
     * @param tokens to measure the perplexity on, or null
     * @param source where they come from
     * @return the caller closes it
     */
    static Gpt quantise(Gpt gpt, Format format, int[] tokens, Path source, PrintWriter report) {
        double before = tokens == null ? 0 : gpt.meanLoss(tokens);
        long bytes = gpt.bytes();
        Gpt quantised = Quantization.to(format.weights, gpt);
        try {
            report.println("Weights in " + format + ": " + Quantities.bytes(quantised.bytes())
                    + " in memory instead of " + Quantities.bytes(bytes));
            if (tokens != null) {
                double after = quantised.meanLoss(tokens);
                report.println(Quantities.format(
                        "Perplexity on %s (%d tokens): %.3f instead of %.3f (%+.2f %%)",
                        source, tokens.length, Math.exp(after), Math.exp(before), 100 * Math.expm1(after - before)));
            }
            return quantised;
        } catch (RuntimeException e) {
            quantised.close();
            throw e;
        }
    }
}
