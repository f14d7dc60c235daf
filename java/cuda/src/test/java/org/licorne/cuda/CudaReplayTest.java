package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
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
