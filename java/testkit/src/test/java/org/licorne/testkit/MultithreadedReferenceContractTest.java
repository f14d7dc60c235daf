package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.reference.ReferenceBackend;

/** The reference on several threads, more than this machine may have. */
class MultithreadedReferenceContractTest extends BackendContract {
    @Override
    protected Backend open() {
        return new ReferenceBackend("reference-multithreaded", 3);
    }

    @Test
    void computesTheBitsOfOneThread() {
        try (Backend one = new ReferenceBackend("reference", 1);
                Backend three = open()) {
            for (OpCase opCase : cases()) {
                Map<String, float[]> expected = opCase.run(one);
                opCase.run(three)
                        .forEach((name, actual) -> assertThat(Operands.bits(actual))
                                .as(opCase + " " + name)
                                .isEqualTo(Operands.bits(expected.get(name))));
            }
        }
    }
}
