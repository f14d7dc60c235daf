package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import org.licorne.backend.Backend;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Readback;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** The part of {@link BackendContract} that is about buffers. */
final class MemoryContract {
    private MemoryContract() {}

    static void keepsWhatIsWritten(Backend backend) {
        try (Buffer buffer = backend.allocate("kept", 1001)) {
            assertThat(buffer.bytes()).isEqualTo(1001);
            assertThat(buffer.name()).isEqualTo("kept");
            assertThat(read(buffer, 0, 1001)).as("fresh memory is zero").containsOnly(0);
            byte[] written = new byte[500];
            new Random(3).nextBytes(written);
            ByteBuffer source = ByteBuffer.wrap(written);
            buffer.write(333, source);
            assertThat(source.hasRemaining()).isFalse();
            assertThat(read(buffer, 333, 500)).isEqualTo(written);
            assertThat(read(buffer, 0, 333)).containsOnly(0);
            assertThat(read(buffer, 833, 168)).containsOnly(0);
            ByteBuffer direct = ByteBuffer.allocateDirect(500);
            buffer.read(333, direct);
            direct.flip();
            assertThat(direct).isEqualTo(ByteBuffer.wrap(written));
            buffer.write(0, direct);
            assertThat(read(buffer, 0, 500)).isEqualTo(written);
            if (buffer.hostAccessible()) {
                ByteBuffer view = buffer.view(4, 12);
                assertThat(view.order()).isEqualTo(ByteOrder.nativeOrder());
                assertThat(view.remaining()).isEqualTo(12);
                view.put(0, (byte) 77);
                assertThat(read(buffer, 4, 1)).containsExactly(77);
            } else {
                assertThatThrownBy(() -> buffer.view(4, 12)).isInstanceOf(UnsupportedOperationException.class);
            }
        }
        int large = (5 << 20) + 3; // more than memory that is taken together with others
        try (Buffer buffer = backend.allocate("populated", large)) {
            buffer.write(large - 3, ByteBuffer.wrap(new byte[] {1, 2, 3}));
            buffer.populate();
            assertThat(read(buffer, large - 5, 5)).containsExactly(0, 0, 1, 2, 3);
            assertThat(read(buffer, 0, 1 << 20)).containsOnly(0);
        }
        try (MemoryScope scope = new MemoryScope(backend, "tensors")) {
            Tensor floats = scope.tensor("floats", DType.F32, 3, 5);
            float[] values = Values.normal(1).generate(new Random(4), 15);
            floats.write(values);
            assertThat(floats.toFloats()).isEqualTo(values);
            assertThat(floats.part("row", 5, 5).toFloats()).isEqualTo(Arrays.copyOfRange(values, 5, 10));
            Tensor ints = scope.tensor("ints", DType.I32, 4);
            ints.write(1, -2, Integer.MAX_VALUE, Integer.MIN_VALUE);
            assertThat(ints.toInts()).containsExactly(1, -2, Integer.MAX_VALUE, Integer.MIN_VALUE);
            assertThat(scope.tensor("empty", DType.F32, 0, 7).toFloats()).isEmpty();
        }
    }

    private static byte[] read(Buffer buffer, long offset, int length) {
        ByteBuffer destination = ByteBuffer.allocate(length);
        buffer.read(offset, destination);
        assertThat(destination.hasRemaining()).isFalse();
        return destination.array();
    }

    static void refusesAccessOutside(Backend backend) {
        try (Buffer buffer = backend.allocate("small", 16)) {
            long[][] ranges = {{-1, 1}, {16, 1}, {9, 8}, {Long.MAX_VALUE, 8}, {Long.MIN_VALUE, 8}};
            for (long[] range : ranges) {
                ByteBuffer bytes = ByteBuffer.allocate((int) range[1]);
                assertThatThrownBy(() -> buffer.read(range[0], bytes))
                        .isInstanceOf(IndexOutOfBoundsException.class)
                        .hasMessageContaining("small");
                assertThatThrownBy(() -> buffer.write(range[0], bytes)).isInstanceOf(IndexOutOfBoundsException.class);
                if (buffer.hostAccessible()) {
                    assertThatThrownBy(() -> buffer.view(range[0], (int) range[1]))
                            .isInstanceOf(IndexOutOfBoundsException.class);
                }
            }
            assertThatCode(() -> buffer.read(16, ByteBuffer.allocate(0))).doesNotThrowAnyException();
        }
    }

    static void guardsItsLife(Backend backend) {
        Buffer buffer = backend.allocate("short-lived", 64);
        buffer.acquire();
        buffer.acquire();
        buffer.release();
        assertThatThrownBy(buffer::close)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("short-lived")
                .hasMessageContaining("in use");
        assertThat(buffer.isClosed()).isFalse();
        buffer.release();
        buffer.close();
        assertThat(buffer.isClosed()).isTrue();
        buffer.close();
        for (Runnable use : new Runnable[] {
            buffer::acquire,
            () -> buffer.read(0, ByteBuffer.allocate(4)),
            () -> buffer.write(0, ByteBuffer.allocate(4)),
            () -> Tensor.of("view", buffer, 0, DType.F32, 4).toFloats()
        }) {
            assertThatThrownBy(use::run)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("short-lived")
                    .hasMessageContaining("closed");
        }
        if (buffer.hostAccessible()) {
            assertThatThrownBy(() -> buffer.view(0, 4)).isInstanceOf(IllegalStateException.class);
        }
    }

    static void closesScopes(Backend backend) {
        MemoryScope scope = new MemoryScope(backend, "scope");
        Buffer first = scope.allocate("first", 100);
        Buffer second = scope.allocate("second", 100);
        Buffer third = scope.allocate("third", 100);
        assertThat(first.name()).isEqualTo("scope/first");
        assertThat(scope.bytes()).isEqualTo(300);
        second.acquire();
        assertThatThrownBy(scope::close)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("scope/second");
        assertThat(first.isClosed()).isTrue();
        assertThat(third.isClosed()).isTrue();
        assertThatThrownBy(() -> scope.allocate("fourth", 1))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("scope");
        second.release();
        scope.close();
        assertThat(second.isClosed()).isTrue();
        scope.close();
        assertThat(scope.bytes()).isZero();
    }

    static void readsBackWhatOpsLeft(Backend backend) {
        try (MemoryScope scope = new MemoryScope(backend, "numbers");
                Readback readback = backend.readback(20)) {
            Tensor x = scope.tensor("x", DType.F32, 3);
            for (int round = 0; round < 3; round++) {
                readback.clear();
                backend.kernels().fill(x, 1 + round);
                readback.add(x);
                backend.kernels().fill(x, -1);
                readback.add(x.part("last", 1, 2));
                assertThatThrownBy(() -> readback.add(x.part("more", 0, 1)))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("0 of 20 are left");
                ByteBuffer taken = readback.take();
                assertThat(readback.isComplete()).isTrue();
                assertThat(taken.remaining()).isEqualTo(20);
                for (int i = 0; i < 5; i++) {
                    assertThat(taken.getFloat()).isEqualTo(i < 3 ? 1 + round : -1);
                }
            }
            readback.close();
        }
    }

    static void countsMemory(Backend backend) {
        assertThat(backend.availableBytes()).isPositive();
        assertThatThrownBy(() -> backend.allocate("far-too-large", 1L << 60))
                .satisfiesAnyOf(
                        e -> assertThat(e).isInstanceOf(OutOfDeviceMemoryException.class),
                        e -> assertThat(e).isInstanceOf(IllegalArgumentException.class))
                .hasMessageContaining("far-too-large");
        assertThatThrownBy(() -> backend.allocate("negative", -1)).isInstanceOf(IllegalArgumentException.class);
        backend.allocate("nothing", 0).close();
    }
}
