package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.licorne.backend.Precision;
import org.licorne.backend.Readback;
import org.licorne.backend.Replay;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** When ops are recorded and when not, and what a recording holds on to; on host memory, which only counts launches. */
@DisabledIfSystemProperty(named = "licorne.require", matches = "cuda", disabledReason = "a GPU has graphs of its own")
class CudaReplayTest {
    private final HostRuntime runtime = new HostRuntime(64L << 20);
    private int issued;

    @AfterEach
    void forgetProperties() {
        System.clearProperty(CudaBackend.GRAPHS);
        System.clearProperty(OpIssue.SYNCHRONOUS);
    }

    private CudaBackend open() {
        return new CudaBackend(runtime, new PlainProducts());
    }

    @Test
    void opsAreDoneThenRecordedThenLaunched() {
        runtime.pretendToRecord();
        try (CudaBackend backend = open();
                MemoryScope scope = new MemoryScope(backend, "replay")) {
            Tensor x = scope.tensor("x", DType.F32, 8);
            Tensor other = scope.tensor("other", DType.F32, 8);
            try (Replay replay = backend.replay(() -> {
                issued++;
                backend.kernels().fill(x, issued);
                backend.kernels().copy(other, x);
            })) {
                assertThat(issued).isEqualTo(2);
                replay.run();
                replay.run();
                assertThat(issued).isEqualTo(2);
                assertThat(runtime.launches()).isEqualTo(2);
                other.buffer().close();
                assertThatThrownBy(replay::run)
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessageContaining(other.buffer().name())
                        .hasMessageContaining("closed");
                assertThat(runtime.launches()).isEqualTo(2);
                replay.close();
                assertThatThrownBy(replay::run).isInstanceOf(IllegalStateException.class);
            }
            assertThat(runtime.openGraphs()).isZero();
        } // closing the scope succeeds only if the replay let go of its buffers
    }

    @Test
    void anOpThatIsRefusedWhileRecordingLeavesNothingBehind() {
        runtime.pretendToRecord();
        try (CudaBackend backend = open();
                MemoryScope scope = new MemoryScope(backend, "replay")) {
            Tensor x = scope.tensor("x", DType.F32, 8);
            assertThatThrownBy(() -> backend.replay(() -> {
                        issued++;
                        backend.kernels().fill(issued == 2 ? null : x, 1);
                    }))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThat(runtime.isCapturing()).isFalse();
            assertThat(runtime.openGraphs()).isZero();
        }
    }

    @Test
    void anErrorOfTheRecordedOpsEndsTheRecording() {
        runtime.pretendToRecord();
        try (CudaBackend backend = open();
                MemoryScope scope = new MemoryScope(backend, "replay")) {
            Tensor x = scope.tensor("x", DType.F32, 8);
            assertThatThrownBy(() -> backend.replay(() -> {
                        if (++issued == 2) {
                            throw new StackOverflowError("of the test");
                        }
                        backend.kernels().fill(x, 1);
                    }))
                    .isInstanceOf(StackOverflowError.class);
            assertThat(runtime.isCapturing()).isFalse();
            assertThat(runtime.turn().isLocked()).isFalse();
            assertThat(x.toFloats()).containsOnly(1);
        }
    }

    @Test
    void whatCannotBeRecordedIsRefused() {
        runtime.pretendToRecord();
        try (CudaBackend backend = open();
                MemoryScope scope = new MemoryScope(backend, "replay");
                Readback readback = backend.readback(32)) {
            Tensor x = scope.tensor("x", DType.F32, 8);
            List<Runnable> refused = List.of(
                    x::toFloats,
                    () -> x.write(0, new float[8], 0, 8),
                    () -> backend.allocate("late", 8),
                    backend::synchronize,
                    () -> readback.add(x));
            for (Runnable work : refused) {
                issued = 0;
                assertThatThrownBy(() -> backend.replay(() -> {
                            if (++issued == 2) {
                                work.run();
                            }
                        }))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessageContaining("while ops are recorded");
                assertThat(runtime.isCapturing()).isFalse();
            }
        }
    }

    @Test
    void otherThreadsWaitForARecordingToEnd() throws Exception {
        runtime.pretendToRecord();
        try (CudaBackend backend = open();
                MemoryScope scope = new MemoryScope(backend, "replay");
                Readback readback = backend.readback(32)) {
            Tensor x = scope.tensor("x", DType.F32, 8);
            Tensor y = scope.tensor("y", DType.F32, 8);
            Replay empty = backend.replay(() -> {});
            Map<String, Runnable> work = new LinkedHashMap<>();
            work.put("op", () -> backend.kernels().fill(y, 3));
            work.put("op in BF16", () -> backend.kernels(Precision.BF16).fill(y, 3));
            work.put("read", y::toFloats);
            work.put("write", () -> y.write(0, new float[8], 0, 8));
            work.put("allocate", () -> backend.allocate("other", 8).close());
            work.put("synchronize", backend::synchronize);
            work.put("readback", () -> readback.add(y));
            work.put("replay", empty::run);
            work.put("record", () -> backend.replay(() -> {}).close());
            for (Map.Entry<String, Runnable> other : work.entrySet()) {
                issued = 0;
                AtomicReference<Throwable> failure = new AtomicReference<>();
                Thread thread = new Thread(other.getValue(), other.getKey());
                thread.setUncaughtExceptionHandler((who, what) -> failure.set(what));
                backend.replay(() -> {
                            if (++issued == 2) {
                                thread.start();
                                long deadline = System.nanoTime() + 10_000_000_000L;
                                while (!runtime.turn().hasQueuedThread(thread)
                                        && thread.isAlive()
                                        && System.nanoTime() < deadline) {
                                    Thread.onSpinWait();
                                }
                                assertThat(runtime.turn().hasQueuedThread(thread))
                                        .as(other.getKey() + " waits")
                                        .isTrue();
                            }
                            backend.kernels().fill(x, 1);
                        })
                        .close();
                thread.join(10_000);
                assertThat(thread.isAlive()).as(other.getKey()).isFalse();
                assertThat(failure.get()).as(other.getKey()).isNull();
            }
            empty.close();
        }
    }

    @Test
    void nothingIsRecordedWhereEachOpIsWaitedForOrGraphsAreOff() {
        for (String property : new String[] {OpIssue.SYNCHRONOUS, CudaBackend.GRAPHS}) {
            HostRuntime own = new HostRuntime(64L << 20);
            own.pretendToRecord();
            System.setProperty(property, property.equals(OpIssue.SYNCHRONOUS) ? "true" : "false");
            issued = 0;
            try (CudaBackend backend = new CudaBackend(own, new PlainProducts());
                    Replay replay = backend.replay(() -> issued++)) {
                replay.run();
                assertThat(issued).isEqualTo(2);
                assertThat(own.launches()).isZero();
            }
            System.clearProperty(property);
        }
    }
}
