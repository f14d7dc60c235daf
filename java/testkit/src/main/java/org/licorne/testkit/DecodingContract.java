package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Readback;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Sampling;
import org.licorne.nn.Parameter;
import org.licorne.random.Philox;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.Tensor;

/** What a backend must do when tokens are drawn where the logits are. Stateless. */
public final class DecodingContract {
    private static final GptConfig CONFIG = new GptConfig(67, 40, 24, 2, 3);
    private static final int[] PROMPTS = {3, 1, 7, 2, 5};
    private static final int[] STREAMS = {0, 1, 0, 4, 2};
    private static final int STEPS = 12;
    private static final int RESTS = 2; // this one rests
    private static final int AFTER = 4; // so many steps
    private static final Sampling SAMPLING = new Sampling(1.2, 40, 0.95, 9);

    private DecodingContract() {}

    private static Gpt lively(Backend backend) {
        Gpt gpt = Gpt.initialise(backend, CONFIG, 5);
        int stream = 100;
        for (Parameter parameter : gpt.parameters()) {
            float[] values = parameter.tensor().toFloats();
            for (int i = 0; i < values.length; i++) {
                values[i] += 0.3f * (float) Philox.normal(5, stream, i);
            }
            parameter.tensor().write(values);
            stream++;
        }
        gpt.weightsChanged();
        return gpt;
    }

    private static int[][] prompts(int B) {
        int[][] prompts = new int[B][];
        for (int b = 0; b < B; b++) {
            prompts[b] = new int[PROMPTS[b % PROMPTS.length]];
            for (int t = 0; t < prompts[b].length; t++) {
                prompts[b][t] = (7 * b + 11 * t) % CONFIG.vocabularySize();
            }
        }
        return prompts;
    }

    /**
     * Steps give the same tokens and logits as tokens that the host reads and hands back, whether it looks at them or not.
     *
     * @throws AssertionError if they do not
     */
    static void stepsAreWhatTheHostWouldDo(Backend backend) {
        int B = PROMPTS.length;
        int capacity = CONFIG.contextLength();
        try (Gpt gpt = lively(backend);
                DecodingPass seen = gpt.decodingPass(B, capacity);
                DecodingPass unseen = gpt.decodingPass(B, capacity);
                DecodingPass byHand = gpt.decodingPass(B, capacity)) {
            assertThatThrownBy(seen::step).isInstanceOf(IllegalStateException.class).hasMessageContaining("sample");
            for (Sampling sampling : List.of(Sampling.GREEDY, SAMPLING)) { // the second: another way, the same passes
                for (DecodingPass pass : List.of(seen, unseen, byHand)) {
                    pass.reset();
                    pass.feed(prompts(B));
                    pass.sample(sampling, STREAMS);
                }
                int[] tokens = new int[B];
                int[] expected = new int[B];
                for (int step = 0; step < STEPS; step++) {
                    if (step == AFTER) {
                        seen.rest(RESTS);
                        unseen.rest(RESTS);
                    }
                    seen.tokens(tokens);
                    byHand.tokens(expected);
                    boolean resting = step >= AFTER;
                    if (resting) {
                        expected[RESTS] = -1;
                        tokens[RESTS] = -1;
                    }
                    assertThat(tokens).as("%s, step %d", sampling, step).isEqualTo(expected);
                    seen.step();
                    unseen.step();
                    byHand.decode(expected);
                    byHand.sample(sampling, STREAMS);
                }
                unseen.tokens(tokens);
                byHand.tokens(expected);
                tokens[RESTS] = expected[RESTS];
                assertThat(tokens).as("%s, unseen", sampling).isEqualTo(expected);
                for (int b = 0; b < B; b++) {
                    assertThat(seen.length(b)).isEqualTo(byHand.length(b));
                    if (b != RESTS) {
                        assertThat(logits(seen, b)).as("logits of %d", b).isEqualTo(logits(byHand, b));
                        assertThat(logits(unseen, b)).isEqualTo(logits(byHand, b));
                    }
                }
            }
        }
    }

    private static float[] logits(DecodingPass pass, int b) {
        float[] row = new float[CONFIG.vocabularySize()];
        pass.logits(b, row);
        return row;
    }

    /** A sequence grows to its end and no further. */
    static void stepsEndWhereTheMemoryEnds(Backend backend) {
        try (Gpt gpt = lively(backend);
                DecodingPass pass = gpt.decodingPass(2, 6)) {
            pass.feed(new int[][] {{1, 2, 3, 4}, {1}});
            pass.sample(SAMPLING, new int[2]);
            pass.step();
            pass.step();
            assertThatThrownBy(pass::step).isInstanceOf(IllegalStateException.class).hasMessageContaining("sequence 0 is full");
            pass.rest(0);
            pass.step();
            assertThat(pass.length(0)).isEqualTo(6);
            assertThat(pass.length(1)).isEqualTo(4);
            pass.feed(new int[][] {{}, {3}});
            assertThatThrownBy(pass::step).isInstanceOf(IllegalStateException.class);
        }
    }

    /** Logits that are no numbers are an error, and the pass is good for the next text. */
    static void sampledNonsenseIsAnError(Backend backend) {
        try (Gpt gpt = lively(backend);
                DecodingPass pass = gpt.decodingPass(1, 10)) {
            Tensor bias = gpt.parameter("ln_f.bias").tensor();
            float[] fine = bias.toFloats();
            float[] broken = fine.clone();
            broken[1] = Float.NaN;
            bias.write(broken);
            gpt.weightsChanged();
            assertThatThrownBy(() -> {
                        pass.feed(new int[][] {{1, 2}});
                        pass.sample(SAMPLING, new int[1]);
                        pass.tokens(new int[1]);
                    })
                    .isInstanceOf(ArithmeticException.class)
                    .hasMessageContaining("NaN");
            bias.write(fine);
            gpt.weightsChanged();
            pass.reset();
            pass.feed(new int[][] {{1, 2}});
            pass.sample(SAMPLING, new int[1]);
            pass.step();
            pass.tokens(new int[1]);
            assertThat(pass.length(0)).isEqualTo(3);
        }
    }

    /**
     * All that differs between two steps is data on the device: the ops and their arguments are the same, so that a
     * device may record them once.
     */
    static void stepsAreTheSameCalls(Backend backend) {
        int B = 20; // more than the CPU decodes together
        List<String> calls = new ArrayList<>();
        try (Gpt gpt = lively(new Recorded(backend, calls));
                DecodingPass pass = gpt.decodingPass(B, CONFIG.contextLength())) {
            pass.feed(prompts(B));
            pass.sample(SAMPLING, new int[B]);
            List<String> first = null;
            for (int step = 0; step < 6; step++) {
                if (step == 3) {
                    pass.rest(1);
                }
                calls.clear();
                pass.step();
                if (step == 0) {
                    first = List.copyOf(calls);
                    assertThat(first).hasSizeGreaterThan(20).anyMatch(call -> call.startsWith("sample"));
                }
                assertThat(calls).as("step %d", step).isEqualTo(first);
            }
        }
    }

    /** Notes the calls of ops. */
    private static final class Recorded implements Backend {
        private final Backend backend;
        private final Kernels kernels;

        Recorded(Backend backend, List<String> calls) {
            this.backend = backend;
            kernels = (Kernels) Proxy.newProxyInstance(
                    Kernels.class.getClassLoader(), new Class<?>[] {Kernels.class}, (proxy, method, arguments) -> {
                        if (method.getReturnType() == void.class) {
                            calls.add(method.getName() + Arrays.stream(arguments).map(Recorded::text).toList());
                        }
                        try {
                            return method.invoke(backend.kernels(), arguments);
                        } catch (InvocationTargetException e) {
                            throw e.getCause();
                        }
                    });
        }

        private static String text(Object argument) {
            return argument instanceof Tensor tensor
                    ? System.identityHashCode(tensor.buffer()) + "+" + tensor.byteOffset() + tensor
                    : String.valueOf(argument);
        }

        @Override
        public String name() {
            return backend.name();
        }

        @Override
        public String device() {
            return backend.device();
        }

        @Override
        public String instructionSet() {
            return backend.instructionSet();
        }

        @Override
        public int threads() {
            return backend.threads();
        }

        @Override
        public Kernels kernels() {
            return kernels;
        }

        @Override
        public void synchronize() {
            backend.synchronize();
        }

        @Override
        public Readback readback(int capacity) {
            return backend.readback(capacity);
        }

        @Override
        public long availableBytes() {
            return backend.availableBytes();
        }

        @Override
        public Buffer allocate(String name, long bytes) {
            return backend.allocate(name, bytes);
        }

        @Override
        public void close() {
            // the backend is not this one's
        }
    }
}
