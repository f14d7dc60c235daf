package org.licorne.bench.jmh;

import org.licorne.bench.workload.WorkloadSpec;
import org.openjdk.jmh.annotations.Param;

/** One new token per sequence with a key and value cache; context is the prompt's length. */
public class DecodeBenchmark extends WorkloadBenchmark {
    @Param("1")
    public int batch;

    @Param("64")
    public int context;

    @Override
    WorkloadSpec spec() {
        return new WorkloadSpec(WorkloadSpec.Kind.DECODE, engine, size, batch, context, precision);
    }
}
