package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.DeviceException;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.backend.Readback;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * What happens around the ops: memory that ends, a device that fails, errors that come late. On host memory, where a
 * GPU's kernels cannot work.
 */
@DisabledIfSystemProperty(named = "licorne.require", matches = "cuda", disabledReason = "the kernels are a GPU's")
class CudaBackendTest {
    private static final long TOTAL = 64L << 20;

    private final HostRuntime runtime = new HostRuntime(TOTAL);
    private final CudaBackend backend = new CudaBackend(runtime, new PlainProducts());

    @AfterEach
    void close() {
        backend.close();
        System.clearProperty(OpIssue.SYNCHRONOUS);
    }

    @Test
    void namesTheLargestHoldersWhereMemoryEnds() {
        try (Buffer weights = backend.allocate("gpt/weights", 20 << 20);
                Buffer moments = backend.allocate("trainer/moments", 30 << 20)) {
            assertThatThrownBy(() -> backend.allocate("activations", 25 << 20))
                    .isInstanceOfSatisfying(OutOfDeviceMemoryException.class, e -> {
                        assertThat(e.requestedBytes()).isEqualTo(25 << 20);
                        assertThat(e.freeBytes()).isEqualTo(14 << 20);
                        assertThat(e.totalBytes()).isEqualTo(TOTAL);
                    })
                    .hasMessage("buffer 'activations' needs 25 MiB, but only 14 of 64 MiB are free; held:"
                            + " trainer/moments 30 MiB, gpt/weights 20 MiB");
            assertThat(moments.bytes() + weights.bytes()).isEqualTo(50 << 20);
        }
        backend.allocate("activations", 25 << 20).close();
        assertThat(backend.availableBytes()).isEqualTo(TOTAL);
    }

    @Test
    void movesMoreThanFitsIntoItsSlots() {
        byte[] bytes = new byte[(21 << 20) + 13];
        new Random(1).nextBytes(bytes);
        try (Buffer buffer = backend.allocate("large", bytes.length + 5)) {
            buffer.write(5, ByteBuffer.wrap(bytes));
            ByteBuffer back = ByteBuffer.allocate(bytes.length);
            buffer.read(5, back);
            assertThat(back.hasRemaining()).isFalse();
            assertThat(back.array()).isEqualTo(bytes);
            ByteBuffer part = ByteBuffer.allocate(100);
            buffer.read(5 + (9 << 20), part);
            assertThat(part.flip()).isEqualTo(ByteBuffer.wrap(bytes, 9 << 20, 100));
        }
    }

    /** Small writes take small parts of the ring, and none waits before it is full. */
    @Test
    void writesDoNotWaitWhileThereIsRoom() {
        runtime.lag();
        Random random = new Random(2);
        try (Buffer buffer = backend.allocate("tokens", 1 << 20)) {
            byte[] expected = new byte[1 << 20];
            for (int i = 0; i < 600; i++) {
                byte[] bytes = new byte[random.nextInt(150_000)];
                random.nextBytes(bytes);
                int offset = random.nextInt(expected.length - bytes.length);
                System.arraycopy(bytes, 0, expected, offset, bytes.length);
                buffer.write(offset, ByteBuffer.wrap(bytes));
                assertThat(runtime.waits()).as("after %d writes", i + 1).isLessThanOrEqualTo(i < 50 ? 0 : i);
            }
            assertThat(runtime.waits()).isPositive();
            ByteBuffer back = ByteBuffer.allocate(expected.length);
            buffer.read(0, back);
            assertThat(back.array()).isEqualTo(expected);
        }
    }

    @Test
    void whatIsReadBackDoesNotWaitForTheStream() {
        runtime.lag();
        try (MemoryScope scope = new MemoryScope(backend, "scope");
                Readback readback = backend.readback(24)) {
            Tensor x = scope.tensor("x", DType.F32, 4);
            backend.kernels().fill(x, 1);
            readback.add(x);
            backend.kernels().fill(x, 2);
            readback.add(x.part("two", 0, 2));
            assertThat(readback.isComplete()).isFalse();
            assertThatThrownBy(() -> readback.add(x))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("16 bytes, but only 0 of 24 are left");
            assertThat(runtime.waits()).isZero();
            assertThat(floats(readback)).containsExactly(1, 1, 1, 1, 2, 2);
            assertThat(runtime.waits()).isEqualTo(1);
            assertThat(readback.isComplete()).isTrue();
            readback.clear();
            readback.add(x);
            assertThat(floats(readback)).containsExactly(2, 2, 2, 2);
            assertThat(runtime.synchronizations()).isZero();
        }
        try (Readback nothing = backend.readback(0)) {
            assertThat(nothing.isComplete()).isTrue();
            assertThat(nothing.take().hasRemaining()).isFalse();
        }
    }

    private static float[] floats(Readback readback) {
        ByteBuffer taken = readback.take();
        float[] floats = new float[taken.remaining() / Float.BYTES];
        taken.asFloatBuffer().get(floats);
        return floats;
    }

    @Test
    void whatIsReadBackTellsOfErrorsBeforeIt() {
        try (MemoryScope scope = new MemoryScope(backend, "scope");
                Readback readback = backend.readback(96);
                Readback early = backend.readback(4)) {
            Tensor out = scope.tensor("out", DType.F32, 3, 4);
            Tensor table = scope.tensor("table", DType.F32, 5, 4);
            Tensor tokens = scope.tensor("tokens", DType.I32, 3);
            tokens.write(1, 5, -7);
            backend.kernels().embeddingForward(out, table, null, tokens, null, 3, 4);
            readback.add(out);
            assertThatThrownBy(readback::take)
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("tokens[1] = 5");
            early.add(tokens.part("one", 0, 1));
            backend.injectFault();
            for (Runnable use : new Runnable[] {
                early::take, early::isComplete, () -> readback.add(out), () -> backend.readback(1), backend::synchronize
            }) {
                assertThatThrownBy(use::run)
                        .isInstanceOf(DeviceException.class)
                        .hasMessageContaining("reading back")
                        .hasMessageContaining("cudaErrorIllegalAddress");
            }
        }
    }

    @Test
    void aFailedDeviceSaysWhyToEverybodyAndLetsOthersWork() {
        MemoryScope scope = new MemoryScope(backend, "scope");
        Tensor x = scope.tensor("x", DType.F32, 100);
        backend.injectFault();
        assertThatThrownBy(backend::synchronize)
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("synchronize")
                .hasMessageContaining("cudaErrorIllegalAddress");
        runtime.failWith(new DeviceFailure(719, "another message (cudaErrorLaunchFailure)"));
        for (Runnable use : new Runnable[] {
            backend::synchronize,
            () -> backend.kernels().geluForward(x, x),
            () -> backend.kernels()
                    .linearForward(x.part("out", 0, 5, 5), x.part("x", 25, 5, 5), x.part("w", 50, 5, 5), null, 5, 5, 5),
            () -> backend.allocate("more", 1),
            x::toFloats,
            () -> x.write(new float[100]),
            backend::availableBytes
        }) {
            assertThatThrownBy(use::run)
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("cudaErrorIllegalAddress");
        }
        assertThatCode(scope::close).doesNotThrowAnyException();
        assertThatCode(backend::close).doesNotThrowAnyException();
        assertThat(runtime.isClosed()).isTrue();
        try (Backend other = Backends.open("reference");
                MemoryScope elsewhere = new MemoryScope(other, "elsewhere")) {
            Tensor y = elsewhere.tensor("y", DType.F32, 3);
            other.kernels().fill(y, 2);
            assertThat(y.toFloats()).containsExactly(2, 2, 2);
        }
    }

    @Test
    void aRefusedCallIsNotTheEnd() {
        Tensor x = Tensor.of("x", backend.allocate("x", 40), 0, DType.F32, 10);
        runtime.failWith(new DeviceFailure(1, "invalid argument (cudaErrorInvalidValue)"));
        assertThatThrownBy(x::toFloats)
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("copy from the device")
                .hasMessageContaining("cudaErrorInvalidValue");
        runtime.failWith(null);
        backend.kernels().fill(x, 3);
        assertThat(x.toFloats()).containsOnly(3);
        x.buffer().close();
    }

    @Test
    void waitingForEachOpNamesTheOneThatFailed() {
        System.setProperty(OpIssue.SYNCHRONOUS, "true");
        HostRuntime failing = new HostRuntime(TOTAL);
        try (CudaBackend patient = new CudaBackend(failing, new PlainProducts());
                MemoryScope scope = new MemoryScope(patient, "scope")) {
            Tensor x = scope.tensor("x", DType.F32, 100);
            Tensor tokens = scope.tensor("tokens", DType.I32, 10);
            tokens.write(0, 1, 2, 3, 77, 5, 6, 7, 8, 9);
            Tensor table = scope.tensor("table", DType.F32, 10, 10);
            assertThatThrownBy(() ->
                            patient.kernels().embeddingForward(x.reshape(10, 10), table, null, tokens, null, 10, 10))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("[4]")
                    .hasMessageContaining("77");
            failing.injectFault();
            assertThatThrownBy(() -> patient.kernels().geluForward(x, x))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("gelu_forward")
                    .hasMessageContaining("cudaErrorIllegalAddress");
        }
    }

    @Test
    void aBadIndexIsToldAtTheNextReadAndThenForgotten() {
        try (MemoryScope scope = new MemoryScope(backend, "scope")) {
            Tensor out = scope.tensor("out", DType.F32, 3, 4);
            Tensor table = scope.tensor("table", DType.F32, 5, 4);
            Tensor tokens = scope.tensor("tokens", DType.I32, 3);
            tokens.write(1, 5, -7);
            backend.kernels().embeddingForward(out, table, null, tokens, null, 3, 4);
            assertThatThrownBy(out::toFloats)
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("tokens[1] = 5")
                    .hasMessageContaining("0 to 4");
            assertThatCode(backend::synchronize).doesNotThrowAnyException();
            tokens.write(1, 4, 0);
            backend.kernels().embeddingForward(out, table, null, tokens, null, 3, 4);
            assertThat(out.toFloats()).containsOnly(0);
        }
    }

    @Test
    void refusesMemoryOfAnotherBackend() {
        try (CudaBackend other = new CudaBackend(new HostRuntime(TOTAL), new PlainProducts());
                MemoryScope scope = new MemoryScope(other, "other")) {
            Tensor x = scope.tensor("strange", DType.F32, 10);
            assertThatThrownBy(() -> backend.kernels().geluForward(x, x))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("strange");
        }
        try (Backend reference = Backends.open("reference");
                MemoryScope scope = new MemoryScope(reference, "reference")) {
            Tensor x = scope.tensor("strange", DType.F32, 10);
            assertThatThrownBy(() -> backend.kernels().geluForward(x, x)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void twoPrecisionsOnTwoThreadsMakeProductsOneAfterTheOther() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicBoolean met = new AtomicBoolean();
        MatrixProducts plain = new PlainProducts();
        MatrixProducts watched = (MatrixProducts) Proxy.newProxyInstance(
                MatrixProducts.class.getClassLoader(),
                new Class<?>[] {MatrixProducts.class},
                (self, method, arguments) -> {
                    if (inside.incrementAndGet() > 1) {
                        met.set(true);
                    }
                    Thread.sleep(1); // long enough for the other thread to come
                    try {
                        return method.invoke(plain, arguments);
                    } finally {
                        inside.decrementAndGet();
                    }
                });
        try (CudaBackend shared = new CudaBackend(new HostRuntime(TOTAL), watched);
                MemoryScope scope = new MemoryScope(shared, "two models")) {
            ExecutorService threads = Executors.newFixedThreadPool(2);
            List<Future<?>> work = new ArrayList<>();
            for (Precision precision : Precision.values()) {
                DType type = precision == Precision.F32 ? DType.F32 : DType.BF16;
                Tensor x = scope.tensor("x " + type, type, 4, 8);
                Tensor weight = scope.tensor("weight " + type, type, 6, 8);
                Tensor out = scope.tensor("out " + type, type, 4, 6);
                Tensor dweight = scope.tensor("dweight " + type, DType.F32, 6, 8);
                work.add(threads.submit(() -> {
                    for (int i = 0; i < 50; i++) {
                        shared.kernels(precision).linearForward(out, x, weight, null, 4, 8, 6);
                        shared.kernels(precision).linearBackwardWeight(dweight, null, out, x, 4, 8, 6, true);
                    }
                }));
            }
            for (Future<?> each : work) {
                each.get();
            }
            threads.shutdown();
            assertThat(met).isFalse();
        }
    }

    @Test
    void givesEverythingBack() {
        Buffer early = backend.allocate("early", 1000);
        Buffer late = backend.allocate("late", 1000);
        Readback readback = backend.readback(100);
        early.close();
        readback.close();
        readback.close();
        backend.close();
        backend.close();
        assertThat(runtime.isClosed()).isTrue();
        assertThat(runtime.openEvents()).isZero();
        assertThat(runtime.openBlocks()).isEqualTo(1);
        assertThatThrownBy(() -> late.read(0, ByteBuffer.allocate(4)))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
        assertThatThrownBy(() -> backend.allocate("more", 4)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(backend::synchronize).isInstanceOf(IllegalStateException.class);
        late.close();
        assertThat(runtime.openBlocks()).isZero();
    }

    @Test
    void aDeviceTooSmallForTheBackendItselfIsGivenBack() {
        HostRuntime broken = new HostRuntime(TOTAL);
        broken.failWith(new DeviceFailure(2, "out of memory (cudaErrorMemoryAllocation)"));
        assertThatThrownBy(() -> new CudaBackend(broken, new PlainProducts())).isInstanceOf(DeviceException.class);
        assertThat(broken.isClosed()).isTrue();
        assertThat(broken.openBlocks()).isZero();
    }
}
