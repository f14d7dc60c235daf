package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.cuda.ProductShape.Kind;
import org.licorne.tensor.DType;

class PlanCacheTest {
    @TempDir
    private Path folder;

    /** Plans are texts; the times come from the test. */
    private static final class Fake implements PlanCache.Planner<String> {
        private final Map<String, Double> times = new HashMap<>();
        private final List<ProductShape> proposed = new ArrayList<>();
        private final List<String> timed = new ArrayList<>();
        private final List<String> discarded = new ArrayList<>();

        @Override
        public List<String> propose(ProductShape shape) {
            proposed.add(shape);
            return List.of("first " + shape.N(), "second " + shape.N(), "third " + shape.N());
        }

        @Override
        public double milliseconds(String plan, ProductShape shape) {
            timed.add(plan);
            return times.getOrDefault(plan.split(" ")[0], 1.0);
        }

        @Override
        public String withRows(String plan, ProductShape shape) {
            return plan + " for " + shape.N();
        }

        @Override
        public void discard(String plan) {
            discarded.add(plan);
        }
    }

    private final Fake planner = new Fake();

    private PlanCache<String> cache() {
        return new PlanCache<>(planner, PlanChoices.in(folder.resolve("plans/plans.txt")), 64);
    }

    private static String plan(PlanCache<String> cache, long N) {
        return cache.get(Kind.FORWARD, DType.BF16, true, 16, N, 768, 3072);
    }

    @Test
    void takesTheFastestAndAsksOnce() {
        planner.times.put("second", 0.5);
        PlanCache<String> cache = cache();
        assertThat(plan(cache, 1024)).isEqualTo("second 1024");
        assertThat(plan(cache, 1024)).isEqualTo("second 1024");
        assertThat(planner.proposed).hasSize(1);
        assertThat(planner.timed).hasSize(3);
        assertThat(planner.discarded).containsExactly("first 1024", "third 1024");
        cache.discardAll();
        assertThat(planner.discarded).contains("second 1024");
    }

    @Test
    void tellsApartAllThatAPlanDependsOn() {
        PlanCache<String> cache = cache();
        for (Kind kind : Kind.values()) {
            for (DType type : new DType[] {DType.F32, DType.BF16}) {
                for (boolean bias : new boolean[] {false, true}) {
                    for (int alignment : new int[] {4, 16}) {
                        for (long size : new long[] {100, 200}) {
                            cache.get(kind, type, bias, alignment, size, 300, 400);
                            cache.get(kind, type, bias, alignment, 300, size, 400);
                            cache.get(kind, type, bias, alignment, 300, 400, size);
                        }
                    }
                }
            }
        }
        assertThat(planner.proposed).hasSize(3 * 2 * 2 * 2 * 6).doesNotHaveDuplicates();
    }

    @Test
    void growsAndStillFindsAll() {
        PlanCache<String> cache = cache();
        for (int round = 0; round < 2; round++) {
            for (int N = 100; N < 700; N++) {
                assertThat(plan(cache, N)).isEqualTo("first " + N);
            }
        }
        assertThat(planner.proposed).hasSize(600);
    }

    @Test
    void fewRowsShareOneWayOfComputingThem() {
        planner.times.put("third", 0.1);
        PlanCache<String> cache = cache();
        assertThat(plan(cache, 1)).isEqualTo("third 64 for 1");
        assertThat(plan(cache, 17)).isEqualTo("third 64 for 17");
        assertThat(plan(cache, 64)).isEqualTo("third 64");
        assertThat(planner.proposed).hasSize(1);
        assertThat(cache.get(Kind.BACKWARD_INPUT, DType.BF16, false, 16, 1, 768, 3072))
                .isEqualTo("third 1");
    }

    @Test
    void anotherRunChoosesAlike() throws IOException {
        planner.times.put("second", 0.5);
        plan(cache(), 1024);
        planner.times.put("second", 2.0);
        planner.timed.clear();
        assertThat(plan(cache(), 1024)).isEqualTo("second 1024");
        assertThat(planner.timed).isEmpty();
        Path file = folder.resolve("plans/plans.txt");
        assertThat(Files.readString(file)).isEqualTo("forward bf16 bias align16 N=1024 C=768 OC=3072\t1\n");
        Files.writeString(file, "\nnonsense\nforward bf16 bias align16 N=1024 C=768 OC=3072\t99\nforward bf16 bi\tx\n");
        assertThat(plan(cache(), 1024)).as("a place that is not proposed").isEqualTo("first 1024");
    }

    @Test
    void whatCannotBeTimedIsTheFirstProposalAndNotRemembered() {
        planner.times.put("first", -1.0);
        planner.times.put("second", 0.5);
        assertThat(plan(cache(), 1024)).isEqualTo("first 1024");
        planner.times.put("first", 1.0);
        assertThat(plan(cache(), 1024)).isEqualTo("second 1024");
        PlanCache<String> untried = new PlanCache<>(planner, PlanChoices.none(), 64);
        assertThat(plan(untried, 512)).isEqualTo("first 512");
    }

    @Test
    void findingAKnownPlanAllocatesNothing() {
        PlanCache<String> cache = cache();
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long thread = Thread.currentThread().getId();
        long least = Long.MAX_VALUE;
        for (int run = 0; run < 20; run++) {
            long before = threads.getThreadAllocatedBytes(thread);
            for (int i = 0; i < 100; i++) {
                plan(cache, 1024);
            }
            least = Math.min(least, threads.getThreadAllocatedBytes(thread) - before);
        }
        assertThat(least).isZero();
    }

    @Test
    void alignmentIsTheWorstOfAllOperands() {
        assertThat(ProductShape.alignment(256, 512, 1024, 0, 64, 128)).isEqualTo(16);
        assertThat(ProductShape.alignment(256, 520, 1024, 0, 64, 128)).isEqualTo(8);
        assertThat(ProductShape.alignment(256, 512, 1024, 0, 148, 128)).isEqualTo(4);
        assertThat(ProductShape.alignment(256, 512, 1024, 2, 64, 128)).isEqualTo(2);
    }
}
