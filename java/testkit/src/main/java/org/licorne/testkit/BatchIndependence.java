package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.generate.Generation;
import org.licorne.generate.GenerationConfig;
import org.licorne.generate.Generator;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Quantization;
import org.licorne.nn.Parameter;
import org.licorne.random.Philox;
import org.licorne.tensor.DType;
import org.licorne.tokenize.Tokenizer;

/**
 * Same seed, same text, whatever the batch: bit by bit, in every precision that the backend has and for weights and
 * caches of every type. Stateless.
 */
public final class BatchIndependence {
    /** No size is a multiple of a vector's width. */
    private static final GptConfig CONFIG = new GptConfig(129, 90, 36, 2, 3);

    private static final int CAPACITY = 70;

    /** 16 is the most that the CPU decodes together, 20 is more. */
    private static final int[] BATCHES = {1, 3, 16, 20};

    private static final int[] LENGTHS = {1, 2, 5, 15, 16, 17, 18, 33, 47, 61};
    private static final int STEPS = 6;

    private BatchIndependence() {}

    /** @throws AssertionError if a sequence's logits or a prompt's text depend on their neighbours */
    public static void check(Backend backend) {
        for (Precision precision : Precision.values()) {
            if (backend.supports(precision)) {
                try (Gpt gpt = lively(backend).computeIn(precision)) {
                    if (backend.kernels(precision).activationType() == DType.F32) {
                        checkLogits(gpt, DType.F32);
                    }
                    checkLogits(gpt, DType.BF16);
                    checkTexts(gpt);
                }
            }
        }
        for (DType weights : List.of(DType.BF16, DType.Q8, DType.Q4)) {
            try (Gpt gpt = Quantization.to(weights, lively(backend))) {
                checkLogits(gpt, DType.F32);
            }
        }
    }

    /** A model with weights so large that what it writes depends on what came before. */
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
        return gpt;
    }

    private static int[] text(int number, int length) {
        int[] ids = new int[length];
        for (int i = 0; i < length; i++) {
            ids[i] = (int) (Philox.uniform(7, number, i) * CONFIG.vocabularySize());
        }
        return ids;
    }

    private static void checkLogits(Gpt gpt, DType cacheType) {
        Map<Integer, List<float[]>> alone = new HashMap<>();
        for (int number = 0; number < LENGTHS.length; number++) {
            alone.put(number, logits(gpt, cacheType, List.of(number), CAPACITY).get(0));
        }
        for (int size : BATCHES) {
            for (int first = 0; first < LENGTHS.length; first += 7) {
                List<Integer> batch = new ArrayList<>();
                for (int b = 0; b < size; b++) {
                    batch.add((first + 3 * b) % LENGTHS.length);
                }
                List<List<float[]>> together = logits(gpt, cacheType, batch, CAPACITY + 5);
                for (int b = 0; b < size; b++) {
                    for (int step = 0; step <= STEPS; step++) {
                        assertThat(together.get(b).get(step))
                                .as(
                                        "%s weights, %s products, %s cache, %d together: prompt of %d tokens, step %d",
                                        gpt.weights(), gpt.precision(), cacheType, size, LENGTHS[batch.get(b)], step)
                                .isEqualTo(alone.get(batch.get(b)).get(step));
                    }
                }
            }
        }
    }

    /** For each text of the batch its logits after the prompt and after each further token. */
    private static List<List<float[]>> logits(Gpt gpt, DType cacheType, List<Integer> batch, int capacity) {
        int B = batch.size();
        int[][] prompts = new int[B][];
        List<List<float[]>> results = new ArrayList<>();
        for (int b = 0; b < B; b++) {
            prompts[b] = text(batch.get(b), LENGTHS[batch.get(b)]);
            results.add(new ArrayList<>());
        }
        try (DecodingPass pass = gpt.decodingPass(B, capacity, cacheType)) {
            pass.feed(prompts);
            for (int step = 0; step <= STEPS; step++) {
                int[] next = new int[B];
                for (int b = 0; b < B; b++) {
                    float[] row = new float[CONFIG.vocabularySize()];
                    pass.logits(b, row);
                    results.get(b).add(row);
                    int[] text = text(batch.get(b), LENGTHS[batch.get(b)] + STEPS + 1);
                    next[b] = text[LENGTHS[batch.get(b)] + step];
                }
                pass.decode(next);
            }
        }
        return results;
    }

    private static void checkTexts(Gpt gpt) {
        Generator generator = new Generator(gpt, new Characters());
        GenerationConfig config = GenerationConfig.builder()
                .maxNewTokens(12)
                .temperature(1)
                .seed(3)
                .build();
        List<String> prompts = new ArrayList<>();
        for (int number = 0; number < 20; number++) {
            prompts.add("no. " + number + "abcdefgh".repeat(number % 6));
        }
        Map<String, List<Integer>> alone = new HashMap<>();
        for (String prompt : prompts) {
            alone.put(prompt, generator.generate(prompt, config).tokens());
        }
        assertThat(alone.values()).as("different texts").doesNotHaveDuplicates();
        for (int size : BATCHES) {
            List<String> batch = new ArrayList<>(prompts.subList(20 - size, 20));
            Collections.reverse(batch);
            for (Generation generation : generator.generate(batch, config)) {
                assertThat(generation.tokens())
                        .as("%s, %d together: '%s'", gpt.precision(), size, generation.prompt())
                        .isEqualTo(alone.get(generation.prompt()));
            }
        }
    }

    /** One token per ASCII character, and one for the beginning. */
    private static final class Characters implements Tokenizer {
        @Override
        public int vocabularySize() {
            return CONFIG.vocabularySize();
        }

        @Override
        public int beginOfSentence() {
            return CONFIG.vocabularySize() - 1;
        }

        @Override
        public int[] encode(String text) {
            return text.chars().toArray();
        }

        @Override
        public byte[] bytes(int token) {
            return token == beginOfSentence() ? new byte[0] : new byte[] {(byte) token};
        }

        @Override
        public String decode(int... tokens) {
            byte[] bytes = new byte[tokens.length];
            for (int i = 0; i < bytes.length; i++) {
                bytes[i] = (byte) tokens[i];
            }
            return new String(bytes, StandardCharsets.US_ASCII);
        }

        @Override
        public String label(int token) {
            return decode(token);
        }

        @Override
        public void save(Path directory) {
            throw new UnsupportedOperationException("a test's tokenizer is not saved: " + directory);
        }
    }
}
