package org.licorne.bench;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Where and with what a number was measured. No number is kept without it.
 *
 * @param name short name for file names
 * @param processor model name
 * @param processors what the JVM may use
 * @param memoryBytes main memory
 * @param system operating system and architecture
 * @param jdk vendor and version
 * @param commit of the sources, with {@code -dirty} where they were changed since
 * @param time when the run began, in UTC
 */
public record Machine(
        String name,
        String processor,
        int processors,
        long memoryBytes,
        String system,
        String jdk,
        String commit,
        String time) {
    /** This machine, now. */
    public static Machine here() {
        String processor = firstValue(Path.of("/proc/cpuinfo"), "model name", System.getProperty("os.arch"));
        int processors = Runtime.getRuntime().availableProcessors();
        String name = processor
                .toLowerCase(Locale.ROOT)
                .replaceAll("\\(r\\)|\\(tm\\)|@.*", "")
                .trim()
                .replaceAll("[^a-z0-9]+", "-");
        return new Machine(
                name + "-" + processors,
                processor,
                processors,
                kilobytes(firstValue(Path.of("/proc/meminfo"), "MemTotal", "0")),
                System.getProperty("os.name") + " " + System.getProperty("os.arch"),
                System.getProperty("java.vm.vendor") + " " + Runtime.version(),
                describeCommit(),
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
    }

    /** The most memory this process has held so far (VmHWM), in bytes; 0 where the system does not say. */
    public static long peakResidentBytes() {
        return kilobytes(firstValue(Path.of("/proc/self/status"), "VmHWM", "0"));
    }

    /** The memory this process holds now (VmRSS), in bytes; 0 where the system does not say. */
    public static long residentBytes() {
        return kilobytes(firstValue(Path.of("/proc/self/status"), "VmRSS", "0"));
    }

    /** Main memory that may be taken now, in bytes; twice this heap where the system does not say. */
    public static long availableBytes() {
        long available = kilobytes(firstValue(Path.of("/proc/meminfo"), "MemAvailable", "0"));
        return available > 0 ? available : 2 * Runtime.getRuntime().maxMemory();
    }

    private static long kilobytes(String value) {
        return Long.parseLong(value.replace(" kB", "").trim()) * 1024;
    }

    private static String firstValue(Path file, String key, String otherwise) {
        if (!Files.isReadable(file)) {
            return otherwise;
        }
        try (Stream<String> lines = Files.lines(file, StandardCharsets.UTF_8)) {
            return lines.filter(line -> line.startsWith(key))
                    .map(line -> line.substring(line.indexOf(':') + 1).trim())
                    .findFirst()
                    .orElse(otherwise);
        } catch (IOException e) {
            return otherwise;
        }
    }

    private static String describeCommit() {
        try {
            Process git = new ProcessBuilder("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
                    .directory(repository().toFile())
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            String answer = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8).trim();
            return git.waitFor(10, TimeUnit.SECONDS) && git.exitValue() == 0 ? answer : "unknown";
        } catch (IOException e) {
            return "unknown";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "unknown";
        }
    }

    /** The folder that holds {@code bench}, seen from these classes; the working directory if they lie elsewhere. */
    public static Path repository() {
        try {
            Path classes = Path.of(Machine.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI());
            for (Path folder = classes; folder != null; folder = folder.getParent()) {
                if (Files.isDirectory(folder.resolve("bench")) && Files.isRegularFile(folder.resolve("pom.xml"))) {
                    return folder;
                }
            }
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
        return Path.of("").toAbsolutePath();
    }
}
