package org.licorne.bench;

import org.licorne.bench.workload.WorkloadSpec;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Times decoding steps. */
@Command(
        name = "decode",
        description = "Times writing text token by token with a key and value cache.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {"", "Example:", "  ./licorne bench decode --size gpt2 --steps 100 --json"})
final class DecodeCommand extends ModelCommand {
    @Option(names = "--batch", defaultValue = "1", description = "Texts at once (default: ${DEFAULT-VALUE}).")
    private int batch;

    @Option(
            names = "--prompt",
            defaultValue = "64",
            description = "Tokens in the cache when timing starts (default: ${DEFAULT-VALUE}).")
    private int prompt;

    @Override
    WorkloadSpec.Kind kind() {
        return WorkloadSpec.Kind.DECODE;
    }

    @Override
    int batch() {
        return batch;
    }

    @Override
    int context() {
        return prompt;
    }
}
