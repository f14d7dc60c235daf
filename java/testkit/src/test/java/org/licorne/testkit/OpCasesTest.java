package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.licorne.backend.KernelChecks;
import org.licorne.backend.Kernels;
import org.licorne.tensor.DType;

/** The list of cases is complete, and its names are unique, so that a failure names one case. */
class OpCasesTest {
    private static String snake(String method) {
        return method.replaceAll("([A-Z])", "_$1").toLowerCase();
    }

    /**
     * An op writes tensors and returns nothing; what returns a number is a question about an op. What every backend has
     * by default is made of other ops, and BackendContract compares it with those.
     */
    private static List<Method> opMethods() {
        return Arrays.stream(Kernels.class.getDeclaredMethods())
                .filter(method -> method.getReturnType() == void.class && !method.isDefault())
                .collect(Collectors.toList());
    }

    private static Set<String> ops() {
        return opMethods().stream().map(Method::getName).collect(Collectors.toSet());
    }

    @Test
    void everyOpHasCases() {
        Set<String> wanted = ops().stream().map(OpCasesTest::snake).collect(Collectors.toSet());
        wanted.removeAll(List.of("fill", "copy")); // the contract has tests of their own for these
        assertThat(OpCases.parity().stream().map(OpCase::op).collect(Collectors.toSet()))
                .isEqualTo(wanted);
    }

    @Test
    void everyOpHasABenchmark() {
        Set<String> wanted = ops().stream().map(OpCasesTest::snake).collect(Collectors.toSet());
        wanted.removeAll(List.of("fill", "add", "copy", "key_value_append")); // plain moves of memory
        assertThat(OpCases.benchmarks().stream().map(OpCase::op).collect(Collectors.toSet()))
                .isEqualTo(wanted);
        assertThat(OpCases.benchmarks())
                .allSatisfy(opCase -> assertThat(opCase.bytes()).isPositive());
    }

    @Test
    void everyOpHasChecksWithItsArguments() throws ReflectiveOperationException {
        for (Method op : opMethods()) {
            assertThat(KernelChecks.class.getMethod(op.getName(), op.getParameterTypes()))
                    .isNotNull();
        }
    }

    @Test
    void namesAreUnique() {
        Set<String> names = new HashSet<>();
        List<OpCase> all = new ArrayList<>(OpCases.all());
        all.addAll(OpCases.large(DType.F32));
        assertThat(all)
                .allSatisfy(opCase -> assertThat(names.add(opCase.toString()))
                        .as(opCase.toString())
                        .isTrue());
    }
}
