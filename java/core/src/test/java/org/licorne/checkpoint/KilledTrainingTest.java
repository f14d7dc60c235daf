package org.licorne.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Kills training processes and holds what they leave against a run that was left alone, bit by bit. */
@Timeout(180)
class KilledTrainingTest {
    private static final int KILLS = 21;
    private static final int STEPS = 700;
    private static final int SIGTERM_STATUS = 128 + 15;

    @TempDir
    Path directory;

    @Test
    void losesNothingThoughKilledAgainAndAgain() throws Exception {
        Path undisturbed = directory.resolve("undisturbed");
        assertThat(start(undisturbed, STEPS, 100, 0).finish()).isZero();

        Path killed = directory.resolve("killed");
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int midway = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            Child child = start(killed, STEPS, 1, 0);
            if (kill % 6 == 5) { // somewhere in start-up: loading, clearing leftovers, restoring
                Thread.sleep(random.nextInt(600));
            } else {
                child.readSteps(random.nextInt(10));
                Thread.sleep(random.nextInt(8), random.nextInt(1_000_000));
            }
            child.process.destroyForcibly().waitFor();
            assertThat(killed.resolve("finished"))
                    .as("run %d of seed %d had too few steps", kill, seed)
                    .doesNotExist();
            midway += leftovers(killed) > 0 ? 1 : 0;
        }
        assertThat(start(killed, STEPS, 100, 0).finish()).as("seed %d", seed).isZero();

        System.out.printf("%d kills, %d of them while a checkpoint was being written%n", KILLS, midway);
        assertSameEnd(killed, undisturbed);
        assertThat(leftovers(killed)).isZero();
    }

    @Test
    void writesACheckpointBeforeItYieldsToSigterm() throws Exception {
        Path undisturbed = directory.resolve("undisturbed");
        assertThat(start(undisturbed, 30, 0, 0).finish()).isZero();

        Path stopped = directory.resolve("stopped");
        Child child = start(stopped, 30, 0, 10);
        child.readSteps(10);
        child.process.toHandle().destroy(); // unlike the process's own method it leaves the output open
        assertThat(child.finish()).isEqualTo(SIGTERM_STATUS);
        assertThat(TrainingCheckpoint.latest(stopped.resolve(CheckpointStore.DIRECTORY_NAME))
                        .orElseThrow()
                        .step())
                .isEqualTo(10);
        assertThat(start(stopped, 30, 0, 0).finish()).isZero();
        assertSameEnd(stopped, undisturbed);
    }

    /** Weights and moments are the same bits, and every step was counted once. */
    private static void assertSameEnd(Path run, Path undisturbed) throws IOException {
        TrainingCheckpoint mine =
                TrainingCheckpoint.latest(run.resolve("training")).orElseThrow();
        TrainingCheckpoint other =
                TrainingCheckpoint.latest(undisturbed.resolve("training")).orElseThrow();
        assertThat(mine.step()).isEqualTo(other.step());
        assertThat(mine.directory().resolve(TrainingCheckpoint.TENSORS))
                .hasSameBinaryContentAs(other.directory().resolve(TrainingCheckpoint.TENSORS));
        assertThat(run.resolve(Safetensors.FILE_NAME))
                .hasSameBinaryContentAs(undisturbed.resolve(Safetensors.FILE_NAME));
        assertThat(mine.state().dataPosition()).isEqualTo(other.state().dataPosition());
        assertThat(mine.state().tokensSeen()).isEqualTo(other.state().tokensSeen());
        assertThat(mine.state().validationLoss()).isEqualTo(other.state().validationLoss());
        assertThat(mine.state().counters()).isEqualTo(other.state().counters());

        List<Long> steps = new ArrayList<>();
        for (String line : Files.readAllLines(run.resolve("metrics.jsonl"))) {
            JsonNode event = new ObjectMapper().readTree(line);
            if (event.get("event").asText().equals("step")) {
                steps.add(event.get("step").asLong());
            }
        }
        assertThat(steps)
                .containsExactlyElementsOf(
                        LongStream.rangeClosed(1, mine.step()).boxed().toList());
    }

    private static long leftovers(Path run) throws IOException {
        Path training = run.resolve(CheckpointStore.DIRECTORY_NAME);
        if (!Files.isDirectory(training)) {
            return 0;
        }
        return Storage.DISK.list(training).stream()
                .filter(path -> path.getFileName().toString().startsWith("."))
                .count();
    }

    private Child start(Path output, int steps, int checkpointEvery, int waitAt) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-XX:+UseSerialGC",
                "-Xmx256m",
                "-Dlicorne.backend=reference",
                "-cp",
                System.getProperty("java.class.path"),
                TrainingProcess.class.getName()));
        for (Object argument : new Object[] {output, steps, checkpointEvery, waitAt}) {
            command.add(argument.toString());
        }
        Path log = Files.createTempFile(directory, "child", ".log");
        return new Child(new ProcessBuilder(command).redirectError(log.toFile()).start(), log);
    }

    private record Child(Process process, BufferedReader output, Path log) {
        Child(Process process, Path log) {
            this(process, process.inputReader(), log);
        }

        /** Waits until so many steps are done, or the process ends. */
        void readSteps(int count) throws IOException {
            for (int seen = 0; seen < count; ) {
                String line = output.readLine();
                if (line == null) {
                    throw new AssertionError("the process ended early: " + Files.readString(log));
                }
                seen += line.startsWith("step ") ? 1 : 0;
            }
        }

        /** Waits for the end. @return exit status */
        int finish() throws IOException, InterruptedException {
            output.lines().forEach(line -> {}); // so that the process never waits for a reader
            assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
            int status = process.exitValue();
            if (status != 0 && status != SIGTERM_STATUS) {
                throw new AssertionError("exit status " + status + ": " + Files.readString(log));
            }
            return status;
        }
    }
}
