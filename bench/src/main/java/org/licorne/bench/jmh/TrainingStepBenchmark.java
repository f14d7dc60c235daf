package org.licorne.bench.jmh;

import org.licorne.bench.workload.WorkloadSpec;
import org.openjdk.jmh.annotations.Param;

/** Forward, backward, clipping and AdamW of a whole model. */
public class TrainingStepBenchmark extends WorkloadBenchmark {
    @Param("4")
    public int batch;

    @Param("64")
    public int context;

    @Override
    WorkloadSpec spec() {
        return new WorkloadSpec(WorkloadSpec.Kind.TRAINING_STEP, engine, size, batch, context, precision);
    }
}
