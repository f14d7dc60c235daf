package org.licorne.nn;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.licorne.tensor.DType;

class LanguageModelHeadTest {
    /** Rows of a chunk, for so many rows of logits, each of so many, and a limit in bytes. */
    @ParameterizedTest
    @CsvSource({
        "F32, 5, 64, 1, 1",
        "F32, 5, 64, 1000000, 5",
        "F32, 300, 50304, 52428800, 150", // 260 would fit: two even chunks
        "F32, 1024, 50304, 52428800, 256",
        "BF16, 32768, 50304, 536870912, 4864", // 5,336 would fit: seven chunks of whole multiples of 256
        "BF16, 4096, 131072, 536870912, 2048",
        "BF16, 1000, 50304, 536870912, 1000",
        "BF16, 0, 50304, 536870912, 0"
    })
    void chunksAreEvenAndLargeOnesWholeMultiples(DType type, long N, long Vp, long limitBytes, long rows) {
        long[] found = new long[1];
        Slab.measure(
                type,
                slab -> found[0] = LanguageModelHead.Activations.logits(slab, N, Vp, limitBytes)
                        .size(0));
        assertThat(found[0]).isEqualTo(rows);
    }
}
