package org.licorne.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

class CheckpointStoreTest {
    private final Backend backend = Backends.open("reference");
    private final MemoryScope scope = new MemoryScope(backend, "test");

    @TempDir
    Path model;

    @AfterEach
    void close() {
        scope.close();
        backend.close();
    }

    private Path training() {
        return model.resolve(CheckpointStore.DIRECTORY_NAME);
    }

    @Test
    void givesBackEveryBit() {
        Map<String, Tensor> tensors = tensors(3);
        tensors.get("m").write(Float.NaN, -0f, Float.MIN_VALUE, Float.intBitsToFloat(0x7fc12345), 1e-45f);
        TrainingState state = new TrainingState(
                7,
                123_456_789_012L,
                4096,
                8,
                Double.NaN,
                1.0 / 3,
                "sha256:abc",
                Map.of("seed", "42", "a", "ü"),
                Map.of("stale", 2L));
        try (CheckpointStore store = CheckpointStore.open(training(), 2)) {
            assertThat(store.latest()).isEmpty();
            assertThat(store.save(state, tensors).step()).isEqualTo(7);
            assertThat(store.latest().orElseThrow().state()).isEqualTo(state);
        }
        Map<String, Tensor> restored = tensors(0);
        TrainingCheckpoint.latest(training()).orElseThrow().restore(restored);
        restored.forEach((name, tensor) -> assertThat(bits(tensor)).as(name).isEqualTo(bits(tensors.get(name))));
    }

    @Test
    void keepsTheLastAndTheBest() throws IOException {
        double[] losses = {5, 3, Double.NaN, 4, 3.5, Double.NaN, 6};
        try (CheckpointStore store = CheckpointStore.open(training(), 2)) {
            for (int step = 0; step < losses.length; step++) {
                store.save(state(step, losses[step]), tensors(step));
                assertThat(store.latest().orElseThrow().step()).isEqualTo(step);
            }
        }
        assertThat(steps()).containsExactly(1L, 5L, 6L);
        assertThat(TrainingCheckpoint.best(training()).orElseThrow().step()).isEqualTo(1);
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            store.save(state(7, 2), tensors(7));
        }
        assertThat(steps()).containsExactly(7L);
        assertThat(names()).containsExactly("lock", "step-0000000007");
    }

    @Test
    void neverRemovesWhatItCannotJudge() throws IOException {
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            Path first = store.save(state(1, 1), tensors(1)).directory();
            Files.write(first.resolve(TrainingCheckpoint.STATE), new byte[3]);
            store.save(state(2, 5), tensors(2));
            store.save(state(3, 4), tensors(3));
        }
        assertThat(steps()).containsExactly(1L, 3L);
        assertThat(TrainingCheckpoint.best(training()).orElseThrow().step()).isEqualTo(3);
    }

    @Test
    void replacesACheckpointOfTheSameStep() {
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            for (int i = 0; i < 3; i++) {
                store.save(state(4, i), tensors(i));
                assertRestores(4, i);
            }
            store.save(state(5, 9), tensors(9));
            assertThatThrownBy(() -> store.save(state(4, 1), tensors(1)))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("step 4")
                    .hasMessageContaining("step 5");
        }
    }

    @Test
    void clearsWhatAKilledWriterLeft() throws IOException {
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            store.save(state(1, 1), tensors(1));
        }
        Path half = Files.createDirectory(training().resolve(CheckpointStore.WRITING + "step-0000000002"));
        Files.write(half.resolve(TrainingCheckpoint.TENSORS), new byte[100]);
        Path doomed = Files.createDirectory(training().resolve(CheckpointStore.DELETING + "step-0000000000"));
        Files.write(doomed.resolve(TrainingCheckpoint.STATE), new byte[1]);
        assertThat(steps()).containsExactly(1L);
        CheckpointStore.open(training(), 1).close();
        assertThat(names()).containsExactly("lock", "step-0000000001");
        assertRestores(1, 1);
    }

    @Test
    void writesTheSameInEveryLanguage() throws IOException {
        Locale before = Locale.getDefault();
        Locale.setDefault(Locale.forLanguageTag("ar-EG-u-nu-arab"));
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            store.save(state(12, 1), tensors(1));
            assertRestores(12, 1);
        } finally {
            Locale.setDefault(before);
        }
        assertThat(names()).containsExactly("lock", "step-0000000012");
        assertRestores(12, 1);
    }

    @Test
    void letsOnlyOneRunWrite() {
        try (CheckpointStore first = CheckpointStore.open(training(), 1)) {
            assertThatThrownBy(() -> CheckpointStore.open(training(), 1))
                    .isInstanceOf(CheckpointException.class)
                    .hasMessageContaining("another training run");
            first.save(state(1, 1), tensors(1));
        }
        CheckpointStore again = CheckpointStore.open(training(), 1);
        again.close();
        again.close();
        assertThatThrownBy(() -> again.save(state(2, 1), tensors(1))).isInstanceOf(IllegalStateException.class);
    }

    /** On Linux the lock belongs to the process: closing any channel to the file would give it back. */
    @Test
    void staysLockedToOtherProcessesAfterASecondOpenHere() throws IOException, InterruptedException {
        try (CheckpointStore first = CheckpointStore.open(training(), 1)) {
            assertThatThrownBy(() -> CheckpointStore.open(training().resolve("."), 1))
                    .isInstanceOf(CheckpointException.class);
            assertThat(openInAnotherProcess()).isEqualTo(OpenStore.TAKEN);
            first.save(state(1, 1), tensors(1));
        }
        assertThat(openInAnotherProcess()).isEqualTo(OpenStore.OPENED);
    }

    private int openInAnotherProcess() throws IOException, InterruptedException {
        return new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        OpenStore.class.getName(),
                        training().toString())
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start()
                .waitFor();
    }

    /** Opens the store of a directory; how that went is the exit status. */
    static final class OpenStore {
        static final int OPENED = 0;
        static final int TAKEN = 3;

        public static void main(String[] arguments) {
            try (CheckpointStore store = CheckpointStore.open(Path.of(arguments[0]), 1)) {
                System.exit(OPENED);
            } catch (CheckpointException e) {
                System.exit(TAKEN);
            }
        }
    }

    @Test
    void savesThoughTheThreadIsToldToStop() {
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            Thread.currentThread().interrupt();
            store.save(state(1, 1), tensors(1));
            assertThat(Thread.interrupted()).isTrue();
        }
        assertRestores(1, 1);
    }

    /** Whatever operation fails, and whether the process lives on or not: the old checkpoint or the new one loads. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void losesNothingWhereverTheDiskFails(boolean forGood) throws IOException {
        int failures = 0;
        for (int failAt = 0; ; failAt++) {
            new Storage().delete(training());
            try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
                store.save(state(1, 1), tensors(1));
            }
            FailingStorage storage = new FailingStorage(failAt, forGood);
            boolean saved = false;
            try (CheckpointStore store = CheckpointStore.open(storage, training(), 1)) {
                store.save(state(2, 2), tensors(2));
                saved = true;
            } catch (CheckpointException e) {
                failures++;
                assertThat(e).hasMessageContaining("the disk is full").hasMessageContaining("Make room");
                if (e.getMessage().contains("was not saved")) {
                    assertThat(e).hasMessageContaining("the one of step 1 is intact");
                }
            }
            long latest = TrainingCheckpoint.latest(training()).orElseThrow().step();
            assertThat(latest).isIn(saved ? List.of(2L) : List.of(1L, 2L));
            assertRestores(latest, (int) latest);
            try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
                store.save(state(3, 3), tensors(3));
            }
            assertRestores(3, 3);
            assertThat(names()).hasSizeLessThanOrEqualTo(3).noneMatch(name -> name.startsWith("."));
            if (saved && storage.operations() <= failAt) {
                break;
            }
        }
        assertThat(failures).isGreaterThan(12);
    }

    @Test
    void survivesAFullDisk() throws IOException, InterruptedException {
        Path small = Files.createDirectory(model.resolve("small"));
        boolean mounted = run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small.toString());
        try {
            Path directory = small.resolve("training");
            Tensor large = scope.tensor("large", DType.F32, 100_000);
            // Where a file system cannot be mounted, the disk is made full by other means.
            Storage storage = mounted ? Storage.DISK : new FullStorage(100_000);
            try (CheckpointStore store = CheckpointStore.open(storage, directory, 1)) {
                store.save(state(1, 1), tensors(1));
                assertThatThrownBy(() -> store.save(state(2, 2), Map.of("large", large)))
                        .isInstanceOf(CheckpointException.class)
                        .hasMessageContaining("the disk is full")
                        .hasMessageContaining("the one of step 1 is intact")
                        .hasMessageContaining("Make room");
                Map<String, Tensor> restored = tensors(0);
                store.latest().orElseThrow().restore(restored);
                assertThat(restored.get("w").toFloats())
                        .containsExactly(tensors(1).get("w").toFloats());
                store.save(state(2, 2), tensors(2)); // what was written of the large one is gone
            }
        } finally {
            if (mounted) { // lazily: the restored file stays mapped until the next garbage collection
                assertThat(run("umount", "-l", small.toString())).isTrue();
            }
        }
    }

    private static boolean run(String... command) throws IOException, InterruptedException {
        try {
            Process process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start();
            return process.waitFor(20, TimeUnit.SECONDS) && process.exitValue() == 0;
        } catch (IOException e) {
            return false; // there is no such command here
        }
    }

    /** Files take so many bytes and no more. */
    private static final class FullStorage extends Storage {
        private final long most;

        FullStorage(long most) {
            this.most = most;
        }

        @Override
        void write(FileChannel channel, ByteBuffer bytes) throws IOException {
            if (channel.position() + bytes.remaining() > most) {
                throw new IOException("No space left on device");
            }
            super.write(channel, bytes);
        }
    }

    @Test
    void saysWhereItMayNotWrite() throws IOException {
        Path file = Files.writeString(model.resolve("file"), "");
        assertThatThrownBy(() -> CheckpointStore.open(file, 1))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("is a file where a directory is needed");
        assertThatThrownBy(() -> CheckpointStore.open(file.resolve("deeper"), 1))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("is a file where a directory is needed");
        assertThatThrownBy(() -> TrainingCheckpoint.list(file))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("is a file where a directory is needed");
        Storage forbidden = new Storage() {
            @Override
            void createDirectories(Path directory) throws IOException {
                throw new AccessDeniedException(directory.toString());
            }
        };
        assertThatThrownBy(() -> CheckpointStore.open(forbidden, training(), 1))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("permission denied")
                .hasMessageContaining(System.getProperty("user.name"));
    }

    @Test
    void findsEveryDamagedByte() throws IOException {
        Path directory;
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            directory = store.save(state(1, 1), tensors(1)).directory();
        }
        List<Path> files = Storage.DISK.list(directory);
        assertThat(files).hasSize(3);
        for (Path file : files) {
            byte[] whole = Files.readAllBytes(file);
            for (int i = 0; i < whole.length; i++) {
                byte[] damaged = whole.clone();
                damaged[i] ^= 1 << i % 8;
                Files.write(file, damaged);
                assertDamaged();
                if (i % 16 == 0) {
                    Files.write(file, Arrays.copyOf(whole, i));
                    assertDamaged();
                }
            }
            Files.delete(file);
            assertDamaged();
            Files.write(file, whole);
        }
        assertRestores(1, 1);
    }

    @Test
    void saysWhichTensorIsDamaged() throws IOException {
        Path file;
        Map<String, Tensor> tensors = tensors(1);
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            file = store.save(state(1, 1), tensors).directory().resolve(TrainingCheckpoint.TENSORS);
        }
        byte[] whole = Files.readAllBytes(file);
        String last = new LinkedList<>(tensors.keySet()).getLast();
        TensorEntry entry;
        try (Safetensors content = Safetensors.open(file)) {
            entry = content.entry(last);
        }
        byte[] damaged = whole.clone();
        damaged[whole.length - 1] ^= 1;
        Files.write(file, damaged);
        assertThatThrownBy(() ->
                        TrainingCheckpoint.latest(training()).orElseThrow().restore(tensors))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tensor '" + last + "', byte " + entry.fileOffset())
                .hasMessageContaining("not those that were written")
                .hasMessageContaining("delete its directory");
        Files.write(file, Arrays.copyOf(whole, whole.length - 1));
        assertThatThrownBy(() ->
                        TrainingCheckpoint.latest(training()).orElseThrow().restore(tensors))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tensor '" + last + "', byte " + entry.fileOffset())
                .hasMessageContaining("cut short")
                .hasMessageContaining("delete its directory")
                .hasMessageNotContaining("get it again");
    }

    private void assertDamaged() {
        Map<String, Tensor> tensors = tensors(0);
        TrainingCheckpoint checkpoint = TrainingCheckpoint.latest(training()).orElseThrow();
        assertThatThrownBy(() -> {
                    checkpoint.state();
                    checkpoint.restore(tensors);
                })
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("step-0000000001");
        assertThat(bits(tensors.get("w"))).isEqualTo(bits(tensors(0).get("w")));
    }

    @Test
    void restoresOnlyWhatFits() {
        TrainingCheckpoint checkpoint;
        try (CheckpointStore store = CheckpointStore.open(training(), 1)) {
            checkpoint = store.save(state(1, 1), tensors(1));
        }
        Map<String, Tensor> fewer = tensors(0);
        fewer.remove("m");
        assertThatThrownBy(() -> checkpoint.restore(fewer))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("'m'");
        Map<String, Tensor> more = tensors(0);
        more.put("v", more.get("w"));
        assertThatThrownBy(() -> checkpoint.restore(more))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("'v'");
        Map<String, Tensor> other = tensors(0);
        other.put("w", other.get("w").reshape(3, 2));
        assertThatThrownBy(() -> checkpoint.restore(other))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("its shape is (2,3) and should be (3,2)");
    }

    private List<Long> steps() {
        return TrainingCheckpoint.list(training()).stream()
                .map(TrainingCheckpoint::step)
                .collect(Collectors.toList());
    }

    private List<String> names() throws IOException {
        return Storage.DISK.list(training()).stream()
                .map(path -> path.getFileName().toString())
                .collect(Collectors.toList());
    }

    private void assertRestores(long step, int seed) {
        TrainingCheckpoint checkpoint = TrainingCheckpoint.latest(training()).orElseThrow();
        assertThat(checkpoint.state().step()).isEqualTo(step);
        Map<String, Tensor> restored = tensors(0);
        checkpoint.restore(restored);
        tensors(seed)
                .forEach((name, tensor) ->
                        assertThat(bits(restored.get(name))).as(name).isEqualTo(bits(tensor)));
    }

    private static TrainingState state(long step, double loss) {
        return new TrainingState(step, 10 * step, 100 * step, step, loss, loss, "data", Map.of("seed", "1"), Map.of());
    }

    private Map<String, Tensor> tensors(int seed) {
        Tensor w = scope.tensor("w", DType.F32, 2, 3);
        w.write(seed, seed + 1, seed + 2, -seed, 0.5f * seed, 1f / (seed + 1));
        Tensor m = scope.tensor("m", DType.F32, 5);
        m.write(5f * seed, 4 * seed, 3 * seed, 2 * seed, seed);
        return new LinkedHashMap<>(Map.of("w", w, "m", m));
    }

    private static byte[] bits(Tensor tensor) {
        ByteBuffer bytes = ByteBuffer.allocate((int) tensor.bytes());
        tensor.buffer().read(tensor.byteOffset(), bytes);
        return bytes.array();
    }
}
