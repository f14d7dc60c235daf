package org.licorne.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class MemoryScopeTest {
    private final List<String> freed = new ArrayList<>();
    private final MemoryScope scope = new MemoryScope((name, bytes) -> new HeapBuffer(name, bytes, freed), "model");

    @Test
    void closesInReverseOrderAndOnce() {
        scope.allocate("a", 1);
        scope.allocate("b", 2);
        scope.tensor("c", DType.F32, 2, 3);
        assertThat(scope.bytes()).isEqualTo(1 + 2 + 24);
        scope.close();
        scope.close();
        assertThat(freed).containsExactly("model/c", "model/b", "model/a");
        assertThat(scope.bytes()).isZero();
        assertThatThrownBy(() -> scope.allocate("d", 1))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("memory scope 'model' is closed");
    }

    @Test
    void closesEverythingEvenIfSomeRefuse() {
        Buffer a = scope.allocate("a", 1);
        scope.allocate("b", 1);
        Buffer c = scope.allocate("c", 1);
        a.acquire();
        c.acquire();
        assertThatThrownBy(scope::close)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("model/c")
                .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
        assertThat(freed).containsExactly("model/b");
        a.release();
        c.release();
        scope.close();
        assertThat(freed).containsExactly("model/b", "model/c", "model/a");
    }

    @Test
    void refusesShapesThatMakeNoSense() {
        assertThatThrownBy(() -> scope.tensor("t", DType.F32, 2, -1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("(2,-1)");
        assertThatThrownBy(() -> scope.tensor("t", DType.F32, 1L << 62)).isInstanceOf(ArithmeticException.class);
        assertThat(scope.tensor("empty", DType.F32, 0, 5).elements()).isZero();
    }

    @Test
    void aBufferIsFreedOnceWhateverTheThreads() throws InterruptedException {
        for (int round = 0; round < 200; round++) {
            freed.clear();
            Buffer buffer = new HeapBuffer("raced", 8, freed);
            CountDownLatch start = new CountDownLatch(1);
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                boolean closes = i < 2;
                Thread thread = new Thread(() -> {
                    try {
                        start.await();
                        if (closes) {
                            buffer.close();
                        } else {
                            buffer.acquire();
                            assertThat(buffer.isClosed()).isFalse();
                            buffer.release();
                        }
                    } catch (IllegalStateException e) {
                        // closed, or in use: what is promised
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                });
                threads.add(thread);
                thread.start();
            }
            start.countDown();
            for (Thread thread : threads) {
                thread.join();
            }
            buffer.close();
            assertThat(freed).containsExactly("raced");
        }
    }
}
