package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
        private final List<Integer> attempts = new ArrayList<>();
        private final List<String> timed = new ArrayList<>();
        private final List<String> discarded = new ArrayList<>();
        private boolean canTry = true;
        private int firstThatRuns;
        private int openTrials;

        @Override
        public int attempts() {
            return 3;
        }

        @Override
        public List<String> propose(ProductShape shape, int attempt) {
            proposed.add(shape);
            attempts.add(attempt);
            if (attempt == 1) {
                return List.of(); // nothing of that kind
            }
            return List.of("first " + shape.N(), "second " + shape.N(), "third " + shape.N());
        }

        @Override
        public PlanCache.Trial<String> trial(ProductShape shape) {
            if (!canTry) {
                return null;
            }
            openTrials++;
            int attempt = attempts.get(attempts.size() - 1);
            return new PlanCache.Trial<>() {
                @Override
                public double milliseconds(String plan) {
                    timed.add(plan);
                    return runs(plan) ? times.getOrDefault(plan.split(" ")[0], 1.0) : REFUSED;
                }

                @Override
                public boolean runs(String plan) {
                    return attempt >= firstThatRuns && !Double.isInfinite(times.getOrDefault(plan.split(" ")[0], 1.0));
                }

                @Override
                public void close() {
                    openTrials--;
                }
            };
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
        assertThat(Files.readString(file)).isEqualTo("forward bf16 bias align16 N=1024 C=768 OC=3072\t0 1\n");
        for (String place : new String[] {"0 99", "99 0", "1 0", "1", "-1 1", "0 1 1"}) {
            Files.writeString(
                    file,
                    "\nnonsense\nforward bf16 bias align16 N=1024 C=768 OC=3072\t" + place + "\nforward bf16 bi\tx\n");
            assertThat(plan(cache(), 1024))
                    .as("a place that is not proposed: " + place)
                    .isEqualTo("first 1024");
        }
    }

    @Test
    void whatCannotBeTimedIsTheFirstProposalAndNotRemembered() {
        planner.canTry = false;
        planner.times.put("second", 0.5);
        assertThat(plan(cache(), 1024)).isEqualTo("first 1024");
        planner.canTry = true;
        assertThat(plan(cache(), 1024)).isEqualTo("second 1024");
        PlanCache<String> untried = new PlanCache<>(planner, PlanChoices.none(), 64);
        assertThat(plan(untried, 512)).isEqualTo("first 512");
    }

    @Test
    void noiseDoesNotChoose() {
        planner.times.put("first", 1.0);
        planner.times.put("second", 0.98);
        planner.times.put("third", 0.975);
        assertThat(plan(cache(), 1024)).isEqualTo("first 1024");
        planner.times.put("third", 0.96);
        assertThat(plan(cache(), 512)).isEqualTo("third 512");
        planner.times.put("second", 0.965);
        assertThat(plan(cache(), 256)).isEqualTo("second 256");
    }

    @Test
    void whatDoesNotRunIsPassedOver() {
        planner.times.put("first", PlanCache.Trial.REFUSED);
        planner.times.put("second", 2.0);
        assertThat(plan(cache(), 1024)).isEqualTo("third 1024");
        planner.timed.clear();
        assertThat(plan(new PlanCache<>(planner, PlanChoices.none(), 64), 512)).isEqualTo("second 512");
        assertThat(planner.timed).isEmpty();
        assertThat(planner.openTrials).isZero();
    }

    @Test
    void whereNothingRunsTheNextAttemptCounts() throws IOException {
        planner.firstThatRuns = 2;
        planner.times.put("second", 0.5);
        assertThat(plan(cache(), 1024)).isEqualTo("second 1024");
        assertThat(planner.attempts).containsExactly(0, 1, 2);
        assertThat(planner.discarded)
                .containsExactly("first 1024", "second 1024", "third 1024", "first 1024", "third 1024");
        assertThat(Files.readString(folder.resolve("plans/plans.txt"))).endsWith("\t2 1\n");
        planner.attempts.clear();
        assertThat(plan(cache(), 1024)).isEqualTo("second 1024");
        assertThat(planner.attempts).containsExactly(2);
        planner.firstThatRuns = 3;
        assertThatThrownBy(() -> plan(cache(), 512))
                .isInstanceOf(UnsupportedOperationException.class)
                .hasMessageContaining("forward bf16 bias align16 N=512 C=768 OC=3072");
        assertThat(planner.openTrials).isZero();
    }

    @Test
    void triesNoMoreOnceItTookLong() {
        planner.times.put("first", 300.0);
        planner.times.put("second", 200.0);
        planner.times.put("third", 100.0);
        assertThat(plan(cache(), 1024)).isEqualTo("second 1024");
        assertThat(planner.timed).hasSize(2);
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
