package org.licorne.bench.growth;

import java.util.ArrayList;
import java.util.List;
import org.licorne.backend.Backend;
import org.licorne.bench.Figures;
import org.licorne.bench.Machine;
import org.licorne.bench.result.GrowthResult;
import org.licorne.bench.result.GrowthResult.Axis;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadSpec.Kind;
import org.licorne.bench.workload.Workloads;
import org.licorne.model.GptConfig;
import org.licorne.model.MemoryNeeds;
import org.licorne.model.TrainingPass;
import org.licorne.nn.Recomputation;

/** The training steps that show how cost grows. */
public final class GrowthPlan {
    /** Tokens per sequence while the model grows. */
    public static final int CONTEXT = 512;

    /** A JVM, its natives, and the inputs. */
    private static final long BESIDE_THE_MODEL = 500_000_000;

    private GrowthPlan() {}

    /** GPT-2's shape on ever longer sequences; as many of them as make up the tokens, but at least one. */
    public static List<GrowthResult> contexts(
            String engine, String size, List<Integer> contexts, int tokens, List<String> precisions) {
        List<GrowthResult> points = new ArrayList<>();
        for (int context : contexts) {
            int batch = Math.max(1, tokens / context);
            for (String precision : precisions) {
                points.add(point(
                        Axis.CONTEXT, new WorkloadSpec(Kind.TRAINING_STEP, engine, size, batch, context, precision)));
            }
        }
        return points;
    }

    /** Ever larger models on sequences of {@value #CONTEXT} tokens. */
    public static List<GrowthResult> sizes(String engine, List<String> sizes, int tokens, List<String> precisions) {
        List<GrowthResult> points = new ArrayList<>();
        int batch = Math.max(1, tokens / CONTEXT);
        for (String size : sizes) {
            for (String precision : precisions) {
                points.add(point(
                        Axis.PARAMETERS,
                        new WorkloadSpec(Kind.TRAINING_STEP, engine, size, batch, CONTEXT, precision)));
            }
        }
        return points;
    }

    private static GrowthResult point(Axis axis, WorkloadSpec spec) {
        return new GrowthResult(axis, spec, Workloads.config(spec).parameters(), null, null);
    }

    /** Why a step cannot be measured on this machine, or null. */
    public static String obstacle(GrowthResult point, Backend backend) {
        GptConfig config = Workloads.config(point.spec());
        MemoryNeeds needs = MemoryNeeds.toTrain(
                config,
                backend.kernels(),
                point.spec().batch(),
                point.spec().context(),
                TrainingPass.PREFERRED_LOGITS_BYTES,
                Recomputation.NONE);
        long wanted = needs.total() + BESIDE_THE_MODEL;
        long free = Machine.availableBytes();
        return wanted <= free
                ? null
                : "it takes " + Figures.gigabytes(wanted) + " of memory, and " + Figures.gigabytes(free) + " are free";
    }
}
