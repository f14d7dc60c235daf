package org.licorne.cli;

import java.io.PrintWriter;
import java.util.Set;
import org.licorne.model.GptConfig;
import org.licorne.model.GptSize;
import org.licorne.model.MemoryNeeds;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Lists the named model sizes with what they cost. */
@Command(
        name = "sizes",
        description = "List the named model sizes and what they cost to train and to run.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {"", "Examples:", "  ./licorne sizes", "  ./licorne sizes --vocabulary 4096"})
final class SizesCommand implements Runnable {
    @Option(
            names = "--vocabulary",
            paramLabel = "N",
            defaultValue = "" + GptSize.GPT2_VOCABULARY,
            description = "Tokens in the vocabulary (default: ${DEFAULT-VALUE}, GPT-2's).")
    private int vocabulary;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        TextTable table = new TextTable(
                Set.of(2, 3, 4, 5, 6, 7, 8, 9),
                "size",
                "family",
                "layers",
                "channels",
                "heads",
                "context",
                "parameters",
                "FLOPs/token",
                "to train",
                "to run");
        for (GptSize size : GptSize.all()) {
            GptConfig config = size.config(vocabulary);
            int context = config.contextLength();
            table.row(
                    size.name(),
                    size.family(),
                    config.layers(),
                    config.channels(),
                    config.heads(),
                    context,
                    Quantities.count(config.parameters()),
                    Quantities.count(config.trainingFlopsPerToken(context)),
                    Quantities.bytes(MemoryNeeds.toTrain(config, 1, context).total()),
                    Quantities.bytes(MemoryNeeds.toRun(config, 1, context).total()));
        }
        PrintWriter out = spec.commandLine().getOut();
        table.print(out);
        out.println();
        out.println(
                "FLOPs/token: forward and backward, at full context. To train: weights, gradients, AdamW's moments");
        out.println("and the activations of one sequence, in fp32. To run: weights and the cache of one full context.");
    }
}
