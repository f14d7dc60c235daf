package org.licorne.bench;

import org.licorne.bench.workload.WorkloadSpec;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Times whole training steps. */
@Command(
        name = "train",
        description = "Times training steps of a whole model: forward, backward, clipping, AdamW.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {
            "",
            "Example:",
            "  ./licorne bench train --size gpt2 --batch 4 --context 64 --precision fp32 --steps 10 --json"
        })
final class TrainCommand extends ModelCommand {
    @Option(names = "--batch", defaultValue = "4", description = "Sequences per step (default: ${DEFAULT-VALUE}).")
    private int batch;

    @Option(names = "--context", defaultValue = "64", description = "Tokens per sequence (default: ${DEFAULT-VALUE}).")
    private int context;

    @Override
    WorkloadSpec.Kind kind() {
        return WorkloadSpec.Kind.TRAINING_STEP;
    }

    @Override
    int batch() {
        return batch;
    }

    @Override
    int context() {
        return context;
    }
}
