package org.licorne.bench.gpu;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Locale;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.generate.GenerationConfig;
import org.licorne.generate.Generator;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Quantization;
import org.licorne.tokenize.Tokenizer;
import org.licorne.train.BatchSource;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingResult;

/**
 * What a program of a user's does, by the public interface alone: open the backend, train a small model until it knows
 * a sentence by heart, and let it write that sentence, also with weights in 8 bits.
 */
final class Smoke {
    private static final String SENTENCE = "A licorne trains on whatever device there is. ";
    private static final String PROMPT = "A licorne trains on";
    private static final int STEPS = 120;
    private static final double MOST_LOSS = 0.1; // nats per letter; it begins at 4.9, and ends at 0.03

    private Smoke() {}

    static int run(String engine, PartReport report, PrintStream log) {
        report.root().put("engine", engine);
        try (Backend backend = Backends.open(engine)) {
            report.root().put("device", backend.device());
            GptConfig size = new GptConfig(Bytes.VOCABULARY, 64, 64, 2, 2);
            TrainerConfig config = TrainerConfig.builder()
                    .batchSize(8)
                    .steps(STEPS)
                    .learningRate(3e-3)
                    .build();
            Gpt gpt = Gpt.initialise(backend, size, 1, 0.1);
            try {
                TrainingResult result;
                try (Trainer trainer = new Trainer(gpt, new Sentences(), null, config)) {
                    result = trainer.run();
                }
                report.root().put("precision", gpt.precision().name()).put("loss", result.lastLoss());
                String text = write(gpt);
                gpt = Quantization.q8(gpt);
                String smaller = write(gpt);
                report.root().put("text", text).put("textInQ8", smaller);
                boolean fine = result.lastLoss() <= MOST_LOSS
                        && (PROMPT + text).equals(SENTENCE.repeat(2).substring(0, PROMPT.length() + text.length()))
                        && smaller.equals(text);
                report.root().put("fine", fine);
                log.printf(
                        Locale.ROOT,
                        "loss %.4f after %d steps; writes '%s', in Q8 '%s'%s%n",
                        result.lastLoss(),
                        STEPS,
                        text,
                        smaller,
                        fine ? "" : "  WRONG");
                return fine ? 0 : 1;
            } finally {
                gpt.close();
                report.write();
            }
        }
    }

    private static String write(Gpt gpt) {
        GenerationConfig config = GenerationConfig.builder()
                .greedy()
                .maxNewTokens(30)
                .beginWithBeginOfSentence(false)
                .build();
        return new Generator(gpt, new Bytes()).generate(PROMPT, config).text();
    }

    /** The sentence over and over, from another letter on in each row. */
    private static final class Sentences implements BatchSource {
        private final byte[] bytes = SENTENCE.getBytes(StandardCharsets.US_ASCII);

        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            for (int i = 0; i < B * T; i++) {
                long place = index * 7 + i / T * 5 + i % T;
                inputs[i] = bytes[(int) (place % bytes.length)];
                targets[i] = bytes[(int) ((place + 1) % bytes.length)];
            }
        }

        @Override
        public long tokens() {
            return bytes.length;
        }

        @Override
        public String fingerprint() {
            return SENTENCE;
        }
    }

    /** A token for each ASCII letter. */
    private static final class Bytes implements Tokenizer {
        static final int VOCABULARY = 128;

        @Override
        public int vocabularySize() {
            return VOCABULARY;
        }

        @Override
        public int beginOfSentence() {
            return 0;
        }

        @Override
        public int[] encode(String text) {
            return text.chars().toArray();
        }

        @Override
        public byte[] bytes(int token) {
            return new byte[] {(byte) token};
        }

        @Override
        public String decode(int... tokens) {
            return new String(tokens, 0, tokens.length);
        }

        @Override
        public String label(int token) {
            return decode(token);
        }

        @Override
        public void save(Path directory) {
            throw new UnsupportedOperationException("a model of this is not kept");
        }
    }
}
