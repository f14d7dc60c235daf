package org.licorne.cli;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import picocli.CommandLine.Option;

/** Options of every command that runs a model. */
final class BackendOptions {
    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "What runs the model, see './licorne backends' (default: the fastest that is available).")
    private String backend;

    @Option(names = "--threads", paramLabel = "N", description = "Threads that run it (default: one per processor).")
    private Integer threads;

    @Option(
            names = "--isa",
            paramLabel = "NAME",
            description = "Instruction set of the cpu backend: scalar, avx2, avx512, neon (default: the widest).")
    private String instructionSet;

    /** Opens the backend; the caller closes it. */
    Backend open() {
        if (threads != null) {
            if (threads < 1) {
                throw new IllegalArgumentException("--threads must be at least 1, not " + threads);
            }
            System.setProperty("licorne.threads", threads.toString());
        }
        if (instructionSet != null) {
            System.setProperty("licorne.cpu.isa", instructionSet);
        }
        return backend == null ? Backends.open() : Backends.open(backend);
    }
}
