package org.licorne.cli;

import org.licorne.backend.Backend;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Backends;
import org.licorne.backend.Precision;
import picocli.CommandLine.Option;

/** Options of every command that runs a model. */
final class BackendOptions {
    private static final String ISA = "licorne.cpu.isa";
    private static final int MOST_THREADS = 1024;

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
            description =
                    "Instruction set of the cpu backend: scalar, avx2, avx512, avx512_bf16, neon (default: widest).")
    private String instructionSet;

    @Option(
            names = "--precision",
            paramLabel = "NAME",
            description =
                    "What products are computed in: fp32, bf16, or auto: bf16 where the backend has it; a resumed run"
                            + " keeps its own (default: auto).")
    private Choice precision = Choice.AUTO;

    /** What --precision takes. */
    private enum Choice {
        AUTO(null),
        FP32(Precision.F32),
        BF16(Precision.BF16);

        private final Precision precision;

        Choice(Precision precision) {
            this.precision = precision;
        }
    }

    /** What was asked for, or null: what the backend prefers. */
    Precision askedPrecision() {
        return precision.precision;
    }

    /** What was asked for or else what the backend prefers; a backend that was opened has it. */
    Precision precision(Backend backend) {
        return askedPrecision() == null ? backend.preferredPrecision() : askedPrecision();
    }

    /** A precision as --precision takes it. */
    static String name(Precision precision) {
        return precision == Precision.F32 ? "fp32" : "bf16";
    }

    /**
     * Opens the backend; the caller closes it.
     *
     * @throws org.licorne.backend.BackendUnavailableException if there is none of that name, or it lacks the precision
     */
    Backend open() {
        if (threads != null) {
            if (threads < 1 || threads > MOST_THREADS) {
                throw new IllegalArgumentException("--threads must be from 1 to " + MOST_THREADS + ", not " + threads);
            }
            System.setProperty("licorne.threads", threads.toString());
        }
        if (instructionSet != null) {
            System.setProperty(ISA, instructionSet);
        }
        Backend opened = openAsTyped();
        try {
            if (instructionSet != null && opened.instructionSet().isEmpty()) {
                throw new IllegalArgumentException("--isa chooses what the cpu backend computes with; backend '"
                        + opened.name() + "' has no instruction sets to choose from");
            }
            opened.kernels(precision(opened)); // throws where they are not to be had
            return opened;
        } catch (RuntimeException e) {
            opened.close();
            throw e;
        }
    }

    /** What is wrong with a property that an option has set is said of the option. */
    private Backend openAsTyped() {
        try {
            return backend == null ? Backends.open() : Backends.open(backend);
        } catch (BackendUnavailableException e) {
            throw instructionSet == null
                    ? e
                    : new BackendUnavailableException(
                            e.getMessage().replace("-D" + ISA + "=" + instructionSet, "--isa " + instructionSet), e);
        }
    }
}
