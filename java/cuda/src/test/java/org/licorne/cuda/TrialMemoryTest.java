package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;

class TrialMemoryTest {
    private final HostRuntime runtime = new HostRuntime(1 << 20);

    @Test
    void isFullOfNumbers() {
        for (DType type : new DType[] {DType.F32, DType.BF16}) {
            long[] bytes = {8, 300_000, 0, 1 << 16};
            try (TrialMemory memory = TrialMemory.of(runtime, type, bytes)) {
                for (int i = 0; i < bytes.length; i++) {
                    if (bytes[i] == 0) {
                        assertThat(memory.address(i)).isZero();
                        continue;
                    }
                    ByteBuffer content = HostRuntime.at(memory.address(i), bytes[i])
                            .asByteBuffer()
                            .order(ByteOrder.nativeOrder());
                    double squares = 0;
                    int count = 0;
                    while (content.hasRemaining()) {
                        float value = type == DType.F32 ? content.getFloat() : BFloat16.toFloat(content.getShort());
                        assertThat(value).isFinite().isNotZero();
                        squares += (double) value * value;
                        count++;
                    }
                    if (count > 1000) {
                        assertThat(squares / count).isBetween(0.9, 1.1);
                    }
                }
            }
            assertThat(runtime.openBlocks()).isZero();
        }
    }

    @Test
    void isNullAndNothingIsKeptWhereThereIsNoRoom() {
        assertThat(TrialMemory.of(runtime, DType.F32, 1000, 2 << 20)).isNull();
        assertThat(runtime.openBlocks()).isZero();
        assertThat(runtime.freeBytes()).isEqualTo(1 << 20);
    }
}
