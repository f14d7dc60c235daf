package org.licorne.cli;

import java.io.PrintWriter;
import java.util.List;
import org.licorne.backend.Availability;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.Backends;
import org.licorne.backend.Precision;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Lists what could run a model on this machine, and why the rest cannot. */
@Command(
        name = "backends",
        description = "List what can run a model here, and why the rest cannot.",
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "Examples:",
            "  ./licorne backends",
            "  ./licorne generate --backend reference --model runs/demo --prompt unicorn:"
        })
final class BackendsCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        TextTable table = new TextTable("backend", "available", "device", "instructions", "bf16 products", "memory");
        List<BackendProvider> providers = Backends.providers();
        for (BackendProvider provider : providers) {
            Availability availability = provider.probe();
            if (availability.available()) {
                table.row(
                        provider.name(),
                        "yes",
                        availability.device(),
                        availability.instructionSet(),
                        multipliesInBfloat16(provider) ? "yes" : "no",
                        availability.memoryBytes() == 0 ? "" : Quantities.bytes(availability.memoryBytes()));
            } else {
                table.row(provider.name(), "no", availability.reason(), "", "", "");
            }
        }
        PrintWriter out = spec.commandLine().getOut();
        table.print(out);
        providers.stream()
                .filter(provider -> provider.probe().available())
                .findFirst()
                .ifPresent(best -> out.println("Used unless --backend says otherwise: " + best.name()));
    }

    private static boolean multipliesInBfloat16(BackendProvider provider) {
        try (Backend backend = provider.open()) {
            return backend.supports(Precision.BF16);
        }
    }
}
