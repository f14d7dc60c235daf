package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.reflect.Proxy;
import org.junit.jupiter.api.Test;

/** On a host and a device whose times the test sets. */
class StreamClockTest {
    private static final double ISSUE = 0.005; // milliseconds of the host, as a launch takes

    private double host;
    private double device; // when all that was issued is done
    private int runs;
    private int openEvents;

    private void issue(double milliseconds) {
        host += ISSUE;
        device = Math.max(device, host) + milliseconds;
    }

    private CudaRuntime runtime(double zeroing) {
        return (CudaRuntime) Proxy.newProxyInstance(
                CudaRuntime.class.getClassLoader(),
                new Class<?>[] {CudaRuntime.class},
                (self, method, arguments) -> switch (method.getName()) {
                    case "event" -> new SimulatedEvent();
                    case "zero" -> {
                        issue(zeroing);
                        yield null;
                    }
                    default -> throw new AssertionError(method);
                });
    }

    private final class SimulatedEvent implements CudaRuntime.Event {
        private double time;

        SimulatedEvent() {
            openEvents++;
        }

        @Override
        public void record() {
            issue(0);
            time = device;
        }

        @Override
        public boolean isReached() {
            return time <= host;
        }

        @Override
        public void await() {
            host = Math.max(host, time);
        }

        @Override
        public double millisecondsSince(CudaRuntime.Event earlier) {
            return time - ((SimulatedEvent) earlier).time;
        }

        @Override
        public void close() {
            openEvents--;
        }
    }

    private double time(double kernel, double zeroing) {
        try (StreamClock clock = new StreamClock(runtime(zeroing), 256, 1 << 20)) {
            runs = 0;
            return clock.milliseconds(() -> {
                runs++;
                issue(kernel);
            });
        }
    }

    @Test
    void theHostIsNotTimed() {
        for (double kernel : new double[] {0.001, 0.002, 0.004, 0.1}) {
            assertThat(time(kernel, 0.02)).isCloseTo(kernel, within(1e-9));
        }
        assertThat(openEvents).isZero();
    }

    @Test
    void longWorkIsDoneAFewTimes() {
        assertThat(time(1.5, 0.02)).isCloseTo(1.5, within(1e-9));
        assertThat(runs).isEqualTo(1 + StreamClock.RUNS);
        assertThat(time(5, 0.02)).isCloseTo(5, within(1e-9));
        assertThat(runs).isEqualTo(1 + 4);
        assertThat(time(50, 0.02)).isCloseTo(50, within(0.01));
        assertThat(runs).isEqualTo(1);
    }

    @Test
    void endsWhereTheStreamCannotBeKeptBusy() {
        assertThat(time(0.001, 0.001)).isCloseTo(ISSUE, within(0.001));
    }
}
