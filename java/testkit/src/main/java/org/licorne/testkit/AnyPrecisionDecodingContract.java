package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.ForwardingBackend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Precision;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Sampling;
import org.licorne.tensor.Tensor;

/**
 * What a model must do that writes, on any backend and in any precision: with keys and values cached, and tokens drawn
 * where the logits are.
 */
abstract class AnyPrecisionDecodingContract extends GptFixture {
    private static final GptConfig CONFIG = new GptConfig(67, 40, 24, 2, 3);
    private static final int[] PROMPTS = {3, 1, 7, 2, 5};
    private static final int[] STREAMS = {0, 1, 0, 4, 2};
    private static final int STEPS = 12;
    private static final int RESTS = 2; // this one rests
    private static final int AFTER = 4; // so many steps
    private static final Sampling SAMPLING = new Sampling(1.2, 40, 0.95, 9);

    @Test
    void theCacheGivesWhatTheWholeTextGives() {
        GptConfig config = new GptConfig(29, 180, 8, 2, 2);
        int B = 4;
        int[] lengths = {170, 1, 130, 64}; // some prompts are longer than what goes through the model at once
        int more = 6;
        int[][] texts = new int[B][];
        int[][] prompts = new int[B][];
        for (int b = 0; b < B; b++) {
            texts[b] = tokens(lengths[b] + more, config.vocabularySize(), b);
            prompts[b] = Arrays.copyOf(texts[b], lengths[b]);
        }
        try (Gpt gpt = lively(config, 3);
                DecodingPass pass = gpt.decodingPass(B, 180)) {
            pass.feed(prompts);
            for (int step = 0; step <= more; step++) {
                for (int b = 0; b < B; b++) {
                    assertThat(pass.length(b)).isEqualTo(lengths[b] + step);
                    assertLastLogits(gpt, pass, b, Arrays.copyOf(texts[b], lengths[b] + step));
                }
                if (step < more) {
                    int[] next = new int[B];
                    for (int b = 0; b < B; b++) {
                        next[b] = texts[b][lengths[b] + step];
                    }
                    pass.decode(next);
                }
            }
        }
    }

    @Test
    void sequencesMayPauseAndTakeSeveralTokensAtOnce() {
        int V = TINY.vocabularySize();
        int[] first = tokens(8, V, 1);
        int[] second = tokens(8, V, 2);
        try (Gpt gpt = lively(TINY, 3);
                DecodingPass pass = gpt.decodingPass(2, 8)) {
            pass.feed(new int[][] {Arrays.copyOf(first, 2), Arrays.copyOf(second, 5)});
            pass.decode(new int[] {first[2], -1});
            pass.feed(new int[][] {Arrays.copyOfRange(first, 3, 6), new int[0]});
            assertLastLogits(gpt, pass, 0, Arrays.copyOf(first, 6));
            pass.decode(new int[] {first[6], second[5]});
            assertLastLogits(gpt, pass, 0, Arrays.copyOf(first, 7));
            assertLastLogits(gpt, pass, 1, Arrays.copyOf(second, 6));
            pass.decode(new int[] {first[7], -1});
            assertThatThrownBy(() -> pass.decode(new int[] {0, -1})).hasMessageContaining("sequence 0 is full");
            assertThatThrownBy(() -> pass.feed(new int[][] {{}, {1, 2, 3}})).hasMessageContaining("sequence 1");
            pass.reset();
            pass.feed(new int[][] {second, first});
            assertLastLogits(gpt, pass, 0, second);
            assertLastLogits(gpt, pass, 1, first);
        }
    }

    private void assertLastLogits(Gpt gpt, DecodingPass pass, int b, int[] text) {
        int V = gpt.config().vocabularySize();
        float[] whole = gpt.logits(text, 1, text.length);
        float[] cached = new float[V];
        pass.logits(b, cached);
        assertClose(cached, Arrays.copyOfRange(whole, whole.length - V, whole.length), rounding());
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
     * Steps give the same tokens and logits as tokens that the host reads and hands back, whether it looks at them or
     * not.
     */
    @Test
    void stepsDrawWhatTheHostWouldDraw() {
        int B = PROMPTS.length;
        int capacity = CONFIG.contextLength();
        try (Gpt gpt = lively(CONFIG, 5);
                DecodingPass seen = gpt.decodingPass(B, capacity);
                DecodingPass unseen = gpt.decodingPass(B, capacity);
                DecodingPass byHand = gpt.decodingPass(B, capacity)) {
            assertThatThrownBy(seen::step)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("sample");
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
    @Test
    void stepsEndWhereTheMemoryEnds() {
        try (Gpt gpt = lively(CONFIG, 5);
                DecodingPass pass = gpt.decodingPass(2, 6)) {
            pass.feed(new int[][] {{1, 2, 3, 4}, {1}});
            pass.sample(SAMPLING, new int[2]);
            pass.step();
            pass.step();
            assertThatThrownBy(pass::step)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("sequence 0 is full");
            pass.rest(0);
            pass.step();
            assertThat(pass.length(0)).isEqualTo(6);
            assertThat(pass.length(1)).isEqualTo(4);
            pass.feed(new int[][] {{}, {3}});
            assertThatThrownBy(pass::step).isInstanceOf(IllegalStateException.class);
        }
    }

    /** Logits that are no numbers are an error, and the pass is good for the next text. */
    @Test
    void sampledNonsenseIsAnError() {
        try (Gpt gpt = lively(CONFIG, 5);
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
    @Test
    void aStepIsTheSameCallsEveryTime() {
        int B = 20; // more than the CPU decodes together
        List<String> calls = new ArrayList<>();
        try (Gpt gpt = enlivened(Gpt.initialise(new Recorded(backend, calls), CONFIG, 5), 5)
                        .computeIn(precision());
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
                    assertThat(first).hasSizeGreaterThan(15).anyMatch(call -> call.startsWith("sample"));
                }
                assertThat(calls).as("step %d", step).isEqualTo(first);
            }
        }
    }

    /** Notes the calls of ops. */
    private static final class Recorded extends ForwardingBackend {
        private final List<String> calls;

        Recorded(Backend backend, List<String> calls) {
            super(backend);
            this.calls = calls;
        }

        private Kernels recording(Kernels kernels) {
            return (Kernels) Proxy.newProxyInstance(
                    Kernels.class.getClassLoader(), new Class<?>[] {Kernels.class}, (proxy, method, arguments) -> {
                        if (method.getReturnType() == void.class) {
                            calls.add(method.getName()
                                    + Arrays.stream(arguments)
                                            .map(Recorded::text)
                                            .toList());
                        }
                        try {
                            return method.invoke(kernels, arguments);
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
        public Kernels kernels() {
            return recording(backend.kernels());
        }

        @Override
        public boolean supports(Precision precision) {
            return backend.supports(precision);
        }

        @Override
        public Kernels kernels(Precision precision) {
            return recording(backend.kernels(precision));
        }

        @Override
        public void close() {
            // the backend is not this one's
        }
    }
}
