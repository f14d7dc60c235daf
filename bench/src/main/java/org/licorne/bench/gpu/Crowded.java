package org.licorne.bench.gpu;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Backends;
import org.licorne.backend.DeviceException;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * A second process fills the GPU's memory, and this one asks for more: that must be an exception that says how much was
 * wanted and how much is there, after which this process computes on, on the CPU, on the GPU with what it has, and with
 * all of it once the other is gone.
 */
final class Crowded {
    private static final GptConfig SMALL = new GptConfig(101, 16, 32, 2, 2);
    private static final long LARGEST_PIECE = 1L << 30;
    private static final long SMALLEST_PIECE = 16L << 20;
    private static final String FULL = "full";
    private static final int SECONDS = 60;

    private final PartReport report;
    private final PrintStream log;
    private int failed;

    private Crowded(PartReport report, PrintStream log) {
        this.report = report;
        this.log = log;
    }

    static int check(PartReport report, PrintStream log) {
        return new Crowded(report, log).all();
    }

    /** The other process: takes what there is, says so, and keeps it until its input ends. */
    static int fill(PrintStream log) {
        List<Buffer> held = new ArrayList<>();
        try (Backend backend = Backends.open("cuda")) {
            for (long piece = LARGEST_PIECE; piece >= SMALLEST_PIECE; ) {
                try {
                    held.add(backend.allocate("piece " + held.size(), piece));
                } catch (OutOfDeviceMemoryException e) {
                    piece /= 2;
                }
            }
            backend.synchronize();
            log.println(FULL);
            while (System.in.read() >= 0) {
                // whatever comes, the end is waited for
            }
            held.forEach(Buffer::close);
            return 0;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private int all() {
        try (Backend backend = Backends.open("cuda");
                MemoryScope scope = new MemoryScope(backend, "before")) {
            double expected = loss(backend);
            Tensor own = scope.tensor("own", DType.F32, 8);
            long wanted = backend.availableBytes() / 2;
            Process other = start("fill");
            try {
                awaitFull(other);
                refusal(backend, wanted);
                try (Backend cpu = Backends.open("cpu")) {
                    require("the CPU backend works on", Math.abs(loss(cpu) - expected) <= 1e-3 * expected);
                }
                backend.kernels().fill(own, 3);
                require("the GPU works on with the memory that this process has", own.toFloats()[7] == 3);
                require("a process that comes late is told or served", late() == 0);
            } finally {
                other.getOutputStream().close();
                if (!other.waitFor(SECONDS, TimeUnit.SECONDS)) {
                    other.destroyForcibly();
                }
            }
            backend.allocate("what was refused", wanted).close();
            require("its memory is there again, and the GPU computes the same", loss(backend) == expected);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while another process held the GPU's memory", e);
        }
        return failed == 0 ? 0 : 1;
    }

    /** A process that begins when the memory is full: an exception with a reason is as good as a backend. */
    static int late(PrintStream log) {
        try (Backend backend = Backends.open("cuda")) {
            log.println("the backend opens, with " + backend.availableBytes() + " bytes free");
        } catch (BackendUnavailableException | DeviceException | OutOfDeviceMemoryException e) {
            log.println("the backend does not open: " + e.getMessage());
        }
        return 0;
    }

    private static int late() throws IOException, InterruptedException {
        Process late = start("late");
        late.getInputStream().transferTo(System.out);
        return late.waitFor();
    }

    /** The same Java with the same libraries. */
    private static Process start(String part) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("-Dorg.bytedeco.javacpp.cachedir=" + System.getProperty("org.bytedeco.javacpp.cachedir", ""));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), GpuCheck.class.getName(), part, "-"));
        return new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
    }

    private static void awaitFull(Process other) throws IOException {
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(other.getInputStream(), StandardCharsets.UTF_8));
        String line;
        while ((line = lines.readLine()) != null) {
            if (line.equals(FULL)) {
                return;
            }
        }
        throw new IllegalStateException("the process that was to fill the GPU's memory ended before that");
    }

    private void refusal(Backend backend, long wanted) {
        try {
            backend.allocate("half of the GPU", wanted).close();
            require("asking for more than is free is refused", false);
        } catch (OutOfDeviceMemoryException e) {
            report.root().put("message", e.getMessage()).put("requestedBytes", e.requestedBytes());
            report.root().put("freeBytes", e.freeBytes()).put("totalBytes", e.totalBytes());
            log.println(e.getMessage());
            require(
                    "the refusal says what was wanted, what is free and what there is",
                    e.requestedBytes() == wanted
                            && e.freeBytes() >= 0
                            && e.freeBytes() < wanted
                            && e.totalBytes() > wanted
                            && e.getMessage().contains("half of the GPU"));
        }
    }

    private static double loss(Backend backend) {
        int[] tokens = new int[SMALL.contextLength()];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = i * i % SMALL.vocabularySize();
        }
        try (Gpt gpt = Gpt.initialise(backend, SMALL, 3)) {
            return gpt.meanLoss(tokens);
        }
    }

    private void require(String what, boolean fine) {
        failed += fine ? 0 : 1;
        report.array("checks").addObject().put("what", what).put("fine", fine);
        report.write();
        log.println(what + (fine ? ": yes" : ": NO"));
    }
}
