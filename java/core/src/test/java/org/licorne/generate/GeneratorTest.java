package org.licorne.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.train.BatchSource;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;

/** A model that has learnt one sentence by heart, so that what it writes is known. */
class GeneratorTest {
    private static final String SENTENCE = "台灣大學 is a school.\nIt ends here.";
    private static final int CONTEXT = 48;

    private static Backend backend;
    private static Gpt gpt;
    private static Gpt wild;
    private static Generator generator;

    @BeforeAll
    static void learn() {
        backend = Backends.open("reference");
        gpt = Gpt.initialise(backend, new GptConfig(257, CONTEXT, 16, 1, 2), 1);
        wild = Gpt.initialise(backend, new GptConfig(257, CONTEXT, 16, 1, 2), 1);
        TrainerConfig config = TrainerConfig.builder()
                .batchSize(1)
                .sequenceLength(sentence().length - 1)
                .steps(150)
                .learningRate(1e-2)
                .build();
        try (Trainer trainer = new Trainer(gpt, new OneSentence(), null, config)) {
            assertThat(trainer.run().lastLoss()).isLessThan(0.05);
        }
        generator = new Generator(gpt, new ByteTokenizer());
    }

    @AfterAll
    static void close() {
        wild.close();
        gpt.close();
        backend.close();
    }

    /** Begin, text, begin. */
    private static int[] sentence() {
        int[] bytes = new ByteTokenizer().encode(SENTENCE);
        int[] ids = new int[bytes.length + 2];
        ids[0] = ByteTokenizer.BEGIN;
        System.arraycopy(bytes, 0, ids, 1, bytes.length);
        ids[ids.length - 1] = ByteTokenizer.BEGIN;
        return ids;
    }

    private record OneSentence() implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            System.arraycopy(sentence(), 0, inputs, 0, T);
            System.arraycopy(sentence(), 1, targets, 0, T);
        }

        @Override
        public long tokens() {
            return SENTENCE.length();
        }

        @Override
        public String fingerprint() {
            return SENTENCE;
        }
    }

    private static GenerationConfig.Builder greedy() {
        return GenerationConfig.builder().greedy().maxNewTokens(100);
    }

    @Test
    void writesWhatItLearnt() {
        List<String> pieces = new ArrayList<>();
        Generation generation = generator.generate("", greedy().build(), pieces::add);
        assertThat(generation.text()).isEqualTo(SENTENCE);
        assertThat(generation.finishReason()).isEqualTo(FinishReason.STOP_TOKEN);
        assertThat(generation.promptTokens()).isEqualTo(1);
        assertThat(generation.tokens()).endsWith(ByteTokenizer.BEGIN);
        assertThat(generation.tokensPerSecond()).isPositive();
        assertThat(pieces).startsWith("台", "灣", "大", "學", " ").doesNotContain("");
        assertThat(String.join("", pieces)).isEqualTo(SENTENCE);
    }

    @Test
    void continuesAPrompt() {
        Generation generation = generator.generate("台灣", greedy().build());
        assertThat(generation.text()).isEqualTo(SENTENCE.substring(2));
        assertThat(generation.promptTokens()).isEqualTo(7);
        assertThat(generation.prompt()).isEqualTo("台灣");
    }

    @Test
    void stopsAtStrings() {
        List<String> pieces = new ArrayList<>();
        Generation generation =
                generator.generate("", greedy().stopStrings("It ends", ".\nIt").build(), pieces::add);
        assertThat(generation.text()).isEqualTo("台灣大學 is a school");
        assertThat(generation.finishReason()).isEqualTo(FinishReason.STOP_STRING);
        assertThat(String.join("", pieces)).isEqualTo(generation.text());
        assertThat(generator.generate("", greedy().stopStrings("大學").build()).text())
                .isEqualTo("台灣");
    }

    @Test
    void stopsAtTokensAndGoesOnPastTheEndIfTold() {
        Generation generation =
                generator.generate("", greedy().stopTokens(List.of((int) 's')).build());
        assertThat(generation.text()).isEqualTo("台灣大學 i");
        assertThat(generation.finishReason()).isEqualTo(FinishReason.STOP_TOKEN);
        Generation further =
                generator.generate("", greedy().stopAtBeginOfSentence(false).build());
        assertThat(further.text()).startsWith(SENTENCE);
        assertThat(further.finishReason()).isEqualTo(FinishReason.LENGTH);
    }

    @Test
    void endsWithLengthWhenEnoughIsWrittenOrTheContextIsFull() {
        Generation short3 = generator.generate("", greedy().maxNewTokens(3).build());
        assertThat(short3.text()).isEqualTo("台");
        assertThat(short3.finishReason()).isEqualTo(FinishReason.LENGTH);
        Generation half = generator.generate("", greedy().maxNewTokens(4).build());
        assertThat(half.text()).isEqualTo("台\uFFFD");
        Generation nothing = generator.generate("abc", greedy().maxNewTokens(0).build());
        assertThat(nothing.text()).isEmpty();
        assertThat(nothing.finishReason()).isEqualTo(FinishReason.LENGTH);

        Generation full =
                generator.generate("", greedy().stopAtBeginOfSentence(false).build());
        assertThat(full.promptTokens() + full.tokens().size()).isEqualTo(CONTEXT);
        Generation brim = generator.generate("x".repeat(CONTEXT - 1), greedy().build());
        assertThat(brim.tokens()).isEmpty();
        assertThat(brim.finishReason()).isEqualTo(FinishReason.LENGTH);
    }

    @Test
    void theSameSeedGivesTheSameTextWhateverTheBatch() {
        Generator sampling = new Generator(wild, new ByteTokenizer());
        GenerationConfig config = GenerationConfig.builder()
                .maxNewTokens(12)
                .temperature(1)
                .topP(1)
                .seed(7)
                .build();
        List<String> prompts = List.of("one", "a longer prompt", "", "one");
        List<Generation> together = sampling.generate(prompts, config);
        for (int i = 0; i < 3; i++) {
            assertThat(together.get(i).tokens())
                    .isEqualTo(sampling.generate(prompts.get(i), config).tokens());
        }
        assertThat(together.get(3).tokens()).isNotEqualTo(together.get(0).tokens());
        assertThat(sampling.generate(prompts, config))
                .extracting(Generation::tokens)
                .isEqualTo(together.stream().map(Generation::tokens).toList());
        assertThat(sampling.generate("one", config.toBuilder().seed(8).build()).tokens())
                .isNotEqualTo(together.get(0).tokens());
    }

    @Test
    void streamsOfABatchAreKeptApart() {
        StringBuilder first = new StringBuilder();
        StringBuilder second = new StringBuilder();
        List<Generation> generations = generator.generate(
                List.of("", "台灣大學 is a"),
                greedy().build(),
                (index, piece) -> (index == 0 ? first : second).append(piece));
        assertThat(first.toString())
                .isEqualTo(SENTENCE)
                .isEqualTo(generations.get(0).text());
        assertThat(second.toString())
                .isEqualTo(" school.\nIt ends here.")
                .isEqualTo(generations.get(1).text());
    }

    @Test
    void canBeCancelledFromTheConsumer() {
        Generation generation = generator.generate("", greedy().build(), piece -> generator.cancel());
        assertThat(generation.text()).isEqualTo("台");
        assertThat(generation.finishReason()).isEqualTo(FinishReason.CANCELLED);
        assertThat(generator.generate("", greedy().build()).text()).isEqualTo(SENTENCE);
    }

    @Test
    void anExceptionOfTheConsumerReachesTheCallerAndLeavesNothingOpen() {
        assertThatThrownBy(() -> generator.generate("", greedy().build(), piece -> {
                    throw new IllegalStateException("the reader went away");
                }))
                .hasMessage("the reader went away");
        assertThat(generator.generate("", greedy().build()).text()).isEqualTo(SENTENCE);
    }

    @Test
    void errorsSayWhatToDo() {
        assertThatThrownBy(() -> generator.generate("x".repeat(CONTEXT + 5), greedy().build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("prompt has " + (CONTEXT + 6) + " tokens")
                .hasMessageContaining("shorten it by 6");
        try (Gpt other = Gpt.empty(backend, new GptConfig(100, 8, 8, 1, 1))) {
            assertThatThrownBy(() -> new Generator(other, new ByteTokenizer()))
                    .hasMessageContaining("257")
                    .hasMessageContaining("100");
        }
        assertThatThrownBy(() -> GenerationConfig.builder().temperature(-1).build())
                .hasMessageContaining("temperature");
        assertThatThrownBy(() -> GenerationConfig.builder().topP(0).build()).hasMessageContaining("topP");
        assertThatThrownBy(() -> GenerationConfig.builder().topK(-1).build()).hasMessageContaining("topK");
        assertThatThrownBy(() -> GenerationConfig.builder().stopStrings("").build())
                .hasMessageContaining("stop string");
        assertThat(generator.generate(List.of(), greedy().build())).isEmpty();
    }

    @Test
    void aModelGoneWrongIsAnErrorNotAText() {
        try (Gpt broken = Gpt.empty(backend, new GptConfig(257, 8, 8, 1, 1))) {
            broken.parameter("ln_f.bias").tensor().write(new float[] {Float.NaN, 0, 0, 0, 0, 0, 0, 0});
            assertThatThrownBy(() -> new Generator(broken, new ByteTokenizer()).generate("a", greedy().build()))
                    .isInstanceOf(ArithmeticException.class)
                    .hasMessageContaining("NaN");
        }
    }

    @Test
    void bytesOfThePromptAreNotRepeated() {
        String text = generator.generate("台灣大學 is a school.", greedy().build()).text();
        assertThat(text.getBytes(StandardCharsets.UTF_8)).startsWith((byte) '\n');
    }
}
