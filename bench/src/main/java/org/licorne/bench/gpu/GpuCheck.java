package org.licorne.bench.gpu;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.licorne.backend.Availability;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.Backends;
import org.licorne.cuda.CudaVersions;

/**
 * The parts of the GPU kit that are written in Java; {@code bench/gpu/check} runs each in a JVM of its own, so that a
 * device that fails in one is whole again in the next. {@code GpuCheck PART OUTPUT} writes its figures to a file that
 * grows while the part runs: what was measured before a time limit is kept.
 */
public final class GpuCheck {
    /** Exit status: there is no GPU that Licorne can use. */
    static final int NO_GPU = 3;

    private GpuCheck() {}

    public static void main(String[] arguments) {
        PrintStream log = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.exit(run(arguments, log));
    }

    /** @return the exit status: 0 if all is well, 1 if something is wrong, {@link #NO_GPU} */
    static int run(String[] arguments, PrintStream log) {
        if (arguments.length < 2) {
            log.println("usage: GpuCheck machine|tests|smoke|parity|kernels|training|decoding|reference|crowded|merge"
                    + " OUTPUT [ARGUMENT...]");
            return 2;
        }
        Path file = Path.of(arguments[1]);
        return switch (arguments[0]) {
            case "fill" -> Crowded.fill(log);
            case "late" -> Crowded.late(log);
            case "machine" -> machine(new PartReport(file), log);
            case "tests" ->
                TestReports.summarise(Path.of(arguments[2]), testFeed(arguments), new PartReport(file), log);
            case "parity" -> ModelParity.check(engine(arguments), new PartReport(file), log);
            case "smoke" -> Smoke.run(engine(arguments), new PartReport(file), log);
            case "crowded" -> Crowded.check(new PartReport(file), log);
            case "kernels" -> KernelTimes.measure(engine(arguments), pieces(arguments), new PartReport(file), log);
            case "training" -> ModelTimes.training(engine(arguments), new PartReport(file), log);
            case "decoding" -> ModelTimes.decoding(engine(arguments), new PartReport(file), log);
            case "reference" ->
                ModelTimes.reference(arguments.length > 2 ? arguments[2] : "gpt2", new PartReport(file), log);
            case "merge" -> MergedReport.write(file, Path.of(arguments[2]), log);
            default -> {
                log.println("there is no part '" + arguments[0] + "'");
                yield 2;
            }
        };
    }

    private static String engine(String[] arguments) {
        return arguments.length > 2 ? arguments[2] : "cuda";
    }

    /** What the names of the pieces of work contain that are wanted; nothing: all. */
    private static String pieces(String[] arguments) {
        return arguments.length > 3 ? arguments[3] : "";
    }

    private static Path testFeed(String[] arguments) {
        return arguments.length > 3 ? Path.of(arguments[3]) : null;
    }

    private static int machine(PartReport report, PrintStream log) {
        boolean gpu = false;
        for (BackendProvider provider : Backends.providers()) {
            Availability availability = provider.probe();
            ObjectNode entry = report.array("backends").addObject();
            entry.put("name", provider.name());
            entry.put("available", availability.available());
            entry.put("device", availability.device());
            entry.put("instructionSet", availability.instructionSet());
            entry.put("memoryBytes", availability.memoryBytes());
            entry.put("reason", availability.reason());
            log.println(provider.name() + ": "
                    + (availability.available() ? availability.device() : "not available: " + availability.reason()));
            gpu |= provider.name().equals("cuda") && availability.available();
        }
        if (gpu) {
            CudaVersions versions = CudaVersions.loaded();
            report.root()
                    .putObject("cuda")
                    .put("driver", versions.driver())
                    .put("runtime", versions.runtime())
                    .put("cublasLt", versions.cublasLt());
            log.println("CUDA of the driver " + versions.driver() + ", runtime " + versions.runtime() + ", cuBLASLt "
                    + versions.cublasLt());
        }
        report.write();
        return gpu ? 0 : NO_GPU;
    }
}
