package org.licorne.bench.peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.licorne.bench.Machine;
import org.licorne.bench.pytorch.PyTorch;
import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadTimer;
import org.licorne.bench.workload.Workloads;

/**
 * The child JVM of one contender: opens its workload, warms it up, and then times as many runs as each line on its
 * standard input asks for. Answers are lines of JSON behind a mark, since native libraries may print too.
 */
public final class Worker {
    static final String MARK = "@licorne-bench@ ";
    private static final ObjectMapper JSON = new ObjectMapper();

    private Worker() {}

    /** What a worker says once it is warm. */
    public record Ready(
            double flops, double bytes, long tokens, double fingerprint, double seconds, long peakResidentBytes) {}

    /** What it says after a block of runs. */
    public record Block(double[] seconds, long peakResidentBytes) {}

    /** @param arguments the {@link WorkloadSpec} as JSON, and PyTorch's threads */
    public static void main(String[] arguments) throws IOException {
        WorkloadSpec spec = JSON.readValue(arguments[0], WorkloadSpec.class);
        if (spec.runsOnPyTorch()) {
            PyTorch.threads(Integer.parseInt(arguments[1]));
        }
        try (Workload workload = Workloads.open(spec);
                BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            WorkloadTimer timer = new WorkloadTimer(workload);
            double fingerprint = timer.warmUp();
            answer(new Ready(
                    workload.flops(),
                    workload.bytes(),
                    workload.tokens(),
                    fingerprint,
                    timer.lastSeconds(),
                    Machine.peakResidentBytes()));
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                answer(new Block(timer.time(Integer.parseInt(line)), Machine.peakResidentBytes()));
            }
        }
    }

    private static void answer(Object value) throws IOException {
        System.out.println(MARK + JSON.writeValueAsString(value));
        System.out.flush();
    }
}
