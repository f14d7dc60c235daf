package org.licorne.checkpoint;

import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.licorne.tensor.Tensor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes the checkpoints of one training run into the {@code training} directory of its model, so that the process may
 * be killed, or the machine lose power, at any moment: a checkpoint is written aside, all its files are forced to the
 * disk, and then it gets its name in one step. Older ones are removed only after that. The last few and the one with
 * the lowest validation loss are kept.
 *
 * <p>Whoever opens a store closes it. It holds a lock that the system frees when the process dies, so two runs never
 * write into the same directory. Not thread-safe.
 */
public final class CheckpointStore implements AutoCloseable {
    /** Name of the directory with checkpoints, within a model's directory. */
    public static final String DIRECTORY_NAME = "training";

    static final String LOCK = "lock";
    static final String WRITING = ".writing-";
    static final String DELETING = ".deleting-";

    private static final Logger LOG = LoggerFactory.getLogger(CheckpointStore.class);

    /**
     * The directories that this process writes to. A system that locks files per process gives the lock back as soon as
     * any channel to the file is closed, so a store that may not open must not touch the file at all.
     */
    private static final Set<Path> OPEN_HERE = ConcurrentHashMap.newKeySet();

    private final Storage storage;
    private final Path directory;
    private final int keepLast;
    private final Path real;
    private FileChannel lockChannel;
    private boolean closed;

    private CheckpointStore(Storage storage, Path directory, int keepLast, Path real) {
        this.storage = storage;
        this.directory = directory;
        this.keepLast = keepLast;
        this.real = real;
    }

    /**
     * Opens the directory, creating it if need be, and clears away what a killed writer left behind.
     *
     * @param directory the {@code training} directory of a model
     * @param keepLast how many of the newest checkpoints are kept, at least 1
     * @throws CheckpointException if it cannot be written to or another run writes to it
     */
    public static CheckpointStore open(Path directory, int keepLast) {
        return open(Storage.DISK, directory, keepLast);
    }

    static CheckpointStore open(Storage storage, Path directory, int keepLast) {
        if (keepLast < 1) {
            throw new IllegalArgumentException("at least one checkpoint must be kept, not " + keepLast);
        }
        try {
            storage.createDirectories(directory);
            CheckpointStore store = new CheckpointStore(storage, directory, keepLast, directory.toRealPath());
            if (!OPEN_HERE.add(store.real)) {
                throw store.taken();
            }
            try {
                store.takeLock();
                store.clearLeftovers();
            } catch (IOException | RuntimeException e) {
                store.close();
                throw e;
            }
            return store;
        } catch (IOException e) {
            throw Storage.failure(directory, "checkpoints cannot be written here", e);
        }
    }

    /** Held until the channel is closed. */
    private void takeLock() throws IOException {
        lockChannel = FileChannel.open(directory.resolve(LOCK), StandardOpenOption.WRITE, StandardOpenOption.CREATE);
        if (lockChannel.tryLock() == null) {
            throw taken();
        }
    }

    private CheckpointException taken() {
        return new CheckpointException(
                directory,
                "another training run is writing its checkpoints here",
                "Wait for it, stop it, or use another directory");
    }

    private void clearLeftovers() throws IOException {
        for (Path child : storage.list(directory)) {
            String name = child.getFileName().toString();
            if (name.startsWith(WRITING) || name.startsWith(DELETING)) {
                storage.delete(child);
            }
        }
    }

    public Path directory() {
        return directory;
    }

    /** The newest checkpoint, or empty. */
    public Optional<TrainingCheckpoint> latest() {
        return TrainingCheckpoint.latest(directory);
    }

    /**
     * Writes a checkpoint; when this returns it will survive anything but the disk's death. Tensors are written bit by
     * bit. A thread that was interrupted saves all the same, and is still interrupted afterwards.
     *
     * @throws CheckpointException if the disk is full or writing fails otherwise; the checkpoints from before are
     *     intact
     */
    public TrainingCheckpoint save(TrainingState state, Map<String, Tensor> tensors) {
        if (closed) {
            throw new IllegalStateException("the checkpoint store of " + directory + " is closed");
        }
        boolean interrupted = Thread.interrupted();
        try {
            while (true) {
                try {
                    TrainingCheckpoint saved = write(state, tensors);
                    prune();
                    return saved;
                } catch (CheckpointException e) {
                    if (!(e.getCause() instanceof ClosedByInterruptException)) {
                        throw e;
                    }
                    interrupted = Thread.interrupted(); // it closed the channel: once more from the start
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private TrainingCheckpoint write(TrainingState state, Map<String, Tensor> tensors) {
        List<TrainingCheckpoint> before = TrainingCheckpoint.list(directory);
        TrainingCheckpoint last = before.isEmpty() ? null : before.get(before.size() - 1);
        if (last != null && last.step() > state.step()) {
            throw new CheckpointException(
                    directory,
                    "a checkpoint of step " + state.step() + " would be older than that of step " + last.step()
                            + ", which is already here",
                    "Resume from it, or use another directory");
        }
        int copy = last != null && last.step() == state.step() ? last.copy() + 1 : 0;
        TrainingCheckpoint saved = new TrainingCheckpoint(directory, state.step(), copy);
        Path aside = directory.resolve(WRITING + saved.directory().getFileName());
        try {
            try {
                writeAside(aside, state, tensors);
                storage.move(aside, saved.directory());
            } catch (IOException | RuntimeException e) {
                discard(aside, e);
                throw e;
            }
            storage.forceDirectory(directory);
            return saved;
        } catch (IOException e) {
            String intact = last == null ? "there is no earlier one" : "the one of step " + last.step() + " is intact";
            throw Storage.failure(
                    saved.directory(), "the checkpoint of step " + state.step() + " was not saved (" + intact + ")", e);
        }
    }

    private void writeAside(Path aside, TrainingState state, Map<String, Tensor> tensors) throws IOException {
        storage.delete(aside);
        storage.createDirectories(aside);
        SafetensorsWriter writer = new SafetensorsWriter().metadata("format", "licorne-training");
        tensors.forEach(writer::add);
        Path tensorFile = aside.resolve(TrainingCheckpoint.TENSORS);
        SafetensorsWriter.Checksums written = writer.writeTo(storage, tensorFile);
        byte[] stateBytes = TrainingCheckpoint.bytes(state);
        storage.writeFile(aside.resolve(TrainingCheckpoint.STATE), stateBytes);
        ChecksumFile checksums = new ChecksumFile()
                .add(TrainingCheckpoint.TENSORS, Files.size(tensorFile), written.file())
                .add(TrainingCheckpoint.STATE, stateBytes.length, ChecksumFile.checksum(stateBytes));
        written.tensors()
                .forEach((name, checksum) -> checksums.add(
                        TrainingCheckpoint.tensorLine(name), tensors.get(name).bytes(), checksum));
        storage.writeFile(aside.resolve(TrainingCheckpoint.CHECKSUMS), checksums.bytes());
        storage.forceDirectory(aside);
    }

    private void discard(Path aside, Exception failure) {
        try {
            storage.delete(aside);
        } catch (IOException e) {
            failure.addSuppressed(e); // the next open clears it away
        }
    }

    /**
     * Removes what need not be kept, and nothing that cannot be judged. A failure to do so costs room but loses
     * nothing, so it is only logged.
     */
    private void prune() {
        try {
            List<TrainingCheckpoint> all = TrainingCheckpoint.list(directory);
            Set<Path> kept = new HashSet<>();
            for (TrainingCheckpoint recent : all.subList(Math.max(0, all.size() - keepLast), all.size())) {
                kept.add(recent.directory());
            }
            TrainingCheckpoint.best(all, unreadable -> kept.add(unreadable.directory()))
                    .ifPresent(best -> kept.add(best.directory()));
            for (TrainingCheckpoint old : all) {
                if (!kept.contains(old.directory())) {
                    remove(old);
                }
            }
        } catch (IOException | CheckpointException e) {
            LOG.warn("old checkpoints in {} were not removed: {}", directory, e.getMessage());
        }
    }

    private void remove(TrainingCheckpoint old) throws IOException {
        Path doomed = directory.resolve(DELETING + old.directory().getFileName());
        storage.move(old.directory(), doomed); // so that a reader never meets half of it
        storage.delete(doomed);
    }

    /** Removes all checkpoints, newest first, for a run that starts over in a directory that was used before. */
    public void clear() {
        if (closed) {
            throw new IllegalStateException("the checkpoint store of " + directory + " is closed");
        }
        List<TrainingCheckpoint> all = TrainingCheckpoint.list(directory);
        try {
            for (int i = all.size() - 1; i >= 0; i--) {
                remove(all.get(i));
            }
        } catch (IOException e) {
            throw Storage.failure(directory, "old checkpoints cannot be removed", e);
        }
    }

    /** Idempotent. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        try {
            if (lockChannel != null) {
                lockChannel.close();
            }
        } catch (IOException e) {
            throw Storage.failure(directory, "the lock cannot be given back", e);
        } finally {
            OPEN_HERE.remove(real);
        }
    }
}
