package org.licorne.bench.peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.licorne.bench.workload.WorkloadSpec;

/**
 * One engine at one piece of work, in a JVM of its own: a BLAS is chosen when it is loaded, and one engine's threads,
 * heap and memory must not be another's. Whoever starts it closes it. Not thread-safe.
 */
public final class Contender implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int SHOWN_ERROR_LINES = 12;

    private final WorkloadSpec spec;
    private final Path errors;
    private final Process process;
    private final BufferedWriter input;
    private final BufferedReader output;
    private Worker.Ready ready;

    /** Starts the JVM; {@link #ready} waits until it is warm. */
    public Contender(WorkloadSpec spec, int threads) {
        this.spec = spec;
        try {
            errors = Files.createTempFile("licorne-bench", ".log");
            process = start(spec, threads);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot start a JVM for " + spec.engine(), e);
        }
        input = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
        output = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    }

    private Process start(WorkloadSpec what, int threads) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-Xmx2g",
                "-XX:-UsePerfData",
                // Or JavaCPP counts what PyTorch holds against the Java heap and collects garbage for it.
                "-Dorg.bytedeco.javacpp.maxphysicalbytes=0",
                "-Dorg.bytedeco.javacpp.maxbytes=0",
                "-Dlicorne.threads=" + threads));
        String isa = System.getProperty("licorne.cpu.isa");
        if (isa != null) {
            command.add("-Dlicorne.cpu.isa=" + isa);
        }
        if (what.engine().equals(WorkloadSpec.PYTORCH_MKL)) {
            command.add("-Dorg.bytedeco.openblas.load=mkl");
        }
        if (what.engine().equals(WorkloadSpec.JAVA_VECTOR)) {
            command.addAll(List.of("--add-modules", "jdk.incubator.vector", "-XX:ActiveProcessorCount=" + threads));
        }
        if (Runtime.version().feature() >= 22) {
            command.add("--enable-native-access=ALL-UNNAMED");
        }
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Worker.class.getName()));
        command.add(JSON.writeValueAsString(what));
        boolean onePool = what.engine().equals(WorkloadSpec.PYTORCH_ONE_POOL);
        command.add(Integer.toString(onePool ? 1 : threads));
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(errors.toFile());
        if (onePool) {
            builder.environment().put("OMP_NUM_THREADS", "1");
            builder.environment().put("OPENBLAS_NUM_THREADS", Integer.toString(threads));
        }
        return builder.start();
    }

    public WorkloadSpec spec() {
        return spec;
    }

    /** Waits until the workload has been warmed up. @throws IllegalStateException with the child's last words */
    public Worker.Ready ready() {
        if (ready == null) {
            ready = answer(Worker.Ready.class);
        }
        return ready;
    }

    /** Times a block of runs. */
    public Worker.Block time(int runs) {
        ready();
        try {
            input.write(runs + "\n");
            input.flush();
        } catch (IOException e) {
            throw failure();
        }
        return answer(Worker.Block.class);
    }

    private <T> T answer(Class<T> type) {
        try {
            for (String line = output.readLine(); line != null; line = output.readLine()) {
                if (line.startsWith(Worker.MARK)) {
                    return JSON.readValue(line.substring(Worker.MARK.length()), type);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        throw failure();
    }

    private IllegalStateException failure() {
        try {
            List<String> lines = Files.readAllLines(errors, StandardCharsets.UTF_8);
            return new IllegalStateException(spec.engine() + " gave up on " + spec.title() + ", " + spec.precision()
                    + ":\n" + String.join("\n", lines.subList(0, Math.min(SHOWN_ERROR_LINES, lines.size()))));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Idempotent. */
    @Override
    public void close() {
        try {
            input.close(); // the child ends when its input does
        } catch (IOException e) {
            process.destroy(); // it has ended already, or will now
        }
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
            Files.deleteIfExists(errors);
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
