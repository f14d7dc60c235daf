package org.licorne.bench;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.bench.workload.LossHead;
import org.licorne.model.GptConfig;
import org.licorne.model.GptSize;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Times a model's head with its loss beside the products that it consists of. */
@Command(
        name = "head",
        description =
                "Times logits, softmax and cross-entropy, forward and backward, beside their three products alone.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {"", "Example:", "  ./licorne bench head --tokens 4096 --precision bf16 --json"})
final class HeadCommand implements Callable<Integer> {
    @Option(names = "--size", defaultValue = "gpt2", description = "Model size (default: ${DEFAULT-VALUE}).")
    private String size;

    @Option(names = "--tokens", defaultValue = "4096", description = "Tokens at once (default: ${DEFAULT-VALUE}).")
    private int tokens;

    @Option(names = "--precision", defaultValue = "fp32", description = "fp32 or bf16 (default: ${DEFAULT-VALUE}).")
    private String precision;

    @Option(names = "--backend", defaultValue = "cpu", description = "Backend (default: ${DEFAULT-VALUE}).")
    private String backendName;

    @Option(
            names = "--logits-mib",
            description = "Limit for the logits held at a time, in MiB (default: what training takes).")
    private long logitsMebibytes;

    @Option(names = "--seconds", defaultValue = "40", description = "Time for both (default: ${DEFAULT-VALUE}).")
    private double seconds;

    @Option(names = "--json", description = "Print one JSON object.")
    private boolean json;

    @Override
    public Integer call() throws Exception {
        GptConfig config = GptSize.named(size).config();
        if (tokens < 1) {
            throw new IllegalArgumentException("--tokens must be at least 1, not " + tokens);
        }
        Map<String, Object> figures = new LinkedHashMap<>();
        Peaks peaks = Peaks.measure();
        try (Backend backend = Backends.open(backendName);
                LossHead head = new LossHead(
                        backend,
                        precision,
                        tokens,
                        config.vocabularySize(),
                        config.channels(),
                        logitsMebibytes << 20)) {
            head.check();
            List<Samples> samples = InterleavedTimer.time(List.of(head.fused(), head.products()), seconds);
            double fused = samples.get(0).median();
            double products = samples.get(1).median();
            double flops = head.products().flops();
            figures.put("work", "head and loss");
            figures.put("model", size);
            figures.put("backend", backendName);
            figures.put("tokens", tokens);
            figures.put("precision", precision);
            figures.put("rounds", samples.get(0).seconds().length);
            figures.put("medianSeconds", fused);
            figures.put("medianSecondsOfProducts", products);
            figures.put("timeOverProducts", fused / products);
            figures.put("extraBytes", head.extraBytes());
            figures.put("teraflops", flops / fused * 1e-12);
            if (!backendName.equals("cuda")) { // the peaks are the processor's
                peaks = peaks.orBetter(Peaks.measure());
                figures.put("percentOfPeak", peaks.percent(flops, 0, fused, precision));
                figures.put("peakFlopsPerSecond", peaks.flops(precision));
            }
            figures.put("threads", backend.threads());
            figures.put("isa", backend.instructionSet());
        }
        figures.put("machine", Machine.here());
        CommandOutput.print(figures, json);
        return 0;
    }
}
