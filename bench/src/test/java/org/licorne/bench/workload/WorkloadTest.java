package org.licorne.bench.workload;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.assertj.core.data.Offset;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.bench.pytorch.RequiresPyTorch;
import org.licorne.testkit.Bfloat16Reference;

/** All engines are timed at the same work: they get the same inputs and weights, and find the same numbers. */
@RequiresPyTorch
class WorkloadTest {
    @ParameterizedTest
    @EnumSource(WorkloadSpec.Kind.class)
    void enginesAgree(WorkloadSpec.Kind kind) {
        WorkloadSpec spec = new WorkloadSpec(kind, "reference-multithreaded", "nano", 1, 6, "fp32");
        double ours = fingerprint(spec);
        // Measured: at most 7e-8 in fp32 and 6e-3 in bf16.
        assertThat(fingerprint(spec.on(WorkloadSpec.PYTORCH))).isCloseTo(ours, relative(ours, 1e-5));
        assertThat(fingerprint(spec.on(WorkloadSpec.PYTORCH).in("bf16"))).isCloseTo(ours, relative(ours, 2e-2));
        assertThatThrownBy(() -> Workloads.open(spec.in("bf16")))
                .isInstanceOf(BackendUnavailableException.class)
                .hasMessageContaining("BF16");
    }

    /** As on a GPU, which keeps activations and a copy of the weights in bfloat16. */
    @ParameterizedTest
    @EnumSource(WorkloadSpec.Kind.class)
    void runsWhereActivationsAreBfloat16(WorkloadSpec.Kind kind) {
        WorkloadSpec spec = new WorkloadSpec(kind, "reference-multithreaded", "nano", 1, 6, "fp32");
        double exact = fingerprint(spec);
        try (Backend backend = Bfloat16Reference.open();
                Workload workload = Workloads.onLicorne(spec.in("bf16"), Workloads.config(spec), backend)) {
            workload.run();
            assertThat(workload.fingerprint()).isCloseTo(exact, relative(exact, 2e-2));
        }
    }

    private static Offset<Double> relative(double value, double share) {
        return within(Math.abs(value) * share);
    }

    private static double fingerprint(WorkloadSpec spec) {
        try (Workload workload = Workloads.open(spec)) {
            assertThat(workload.tokens()).isPositive();
            assertThat(workload.flops() + workload.bytes()).isPositive();
            workload.run();
            return workload.fingerprint();
        }
    }
}
