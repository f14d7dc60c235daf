package org.licorne.generate;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.Sampling;
import org.licorne.tokenize.Tokenizer;

/**
 * Writes texts with a {@link Gpt}. It owns nothing that needs closing: the key and value cache lives for one call. One
 * call at a time; {@link #cancel} may come from any thread.
 */
public final class Generator {
    private final Gpt gpt;
    private final Tokenizer tokenizer;
    private volatile boolean cancelled;

    /** @throws IllegalArgumentException if the tokenizer is not the model's */
    public Generator(Gpt gpt, Tokenizer tokenizer) {
        if (tokenizer.vocabularySize() != gpt.config().vocabularySize()) {
            throw new IllegalArgumentException(
                    "the tokenizer has " + tokenizer.vocabularySize() + " tokens, but the model "
                            + gpt.config().vocabularySize() + ": it was trained with another tokenizer");
        }
        this.gpt = gpt;
        this.tokenizer = tokenizer;
    }

    /** Takes the pieces of several texts. */
    @FunctionalInterface
    public interface PieceConsumer {
        /** @param index which prompt @param piece whole characters, never empty */
        void accept(int index, String piece);
    }

    /** Continues one prompt. */
    public Generation generate(String prompt, GenerationConfig config) {
        return generate(prompt, config, piece -> {});
    }

    /** Continues one prompt and hands out the text as it is written, in whole characters. */
    public Generation generate(String prompt, GenerationConfig config, Consumer<String> pieces) {
        return generate(List.of(prompt), config, (index, piece) -> pieces.accept(piece))
                .get(0);
    }

    /** Continues several prompts at once. */
    public List<Generation> generate(List<String> prompts, GenerationConfig config) {
        return generate(prompts, config, (index, piece) -> {});
    }

    /**
     * Continues several prompts at once. A prompt's text depends on seed and prompt, not on its neighbours: on one
     * machine with one thread count its logits have the same bits in every batch ({@link DecodingPass}). A prompt that
     * is given several times gets different texts. A text whose tokens, prompt included, fill the model's context ends
     * with {@link FinishReason#LENGTH}.
     *
     * @throws IllegalArgumentException if a prompt has more tokens than the model's context
     */
    public List<Generation> generate(List<String> prompts, GenerationConfig config, PieceConsumer pieces) {
        cancelled = false;
        if (prompts.isEmpty()) {
            return List.of();
        }
        long start = System.nanoTime();
        List<Sequence> sequences = new ArrayList<>();
        Map<String, Integer> seen = new HashMap<>();
        for (int b = 0; b < prompts.size(); b++) {
            String prompt = prompts.get(b);
            int copy = seen.merge(prompt, 1, Integer::sum) - 1;
            int index = b;
            int[] tokens = promptTokens(prompt, config);
            sequences.add(new Sequence(prompt, tokens, copy, config, piece -> pieces.accept(index, piece)));
        }
        int longest = sequences.stream().mapToInt(s -> s.prompt.length).max().orElseThrow();
        int capacity = (int) Math.min(gpt.config().contextLength(), (long) longest + config.maxNewTokens());
        write(sequences, config, capacity, start);
        double seconds = Math.max(1e-9, (System.nanoTime() - start) * 1e-9);
        int drawn = sequences.stream().mapToInt(s -> s.tokens.size()).sum();
        List<Generation> results = new ArrayList<>();
        for (Sequence sequence : sequences) {
            results.add(sequence.result(drawn / seconds));
        }
        return results;
    }

    /** Ends the call in progress after the current token; its texts have {@link FinishReason#CANCELLED}. */
    public void cancel() {
        cancelled = true;
    }

    private int[] promptTokens(String prompt, GenerationConfig config) {
        int[] ids = tokenizer.encode(prompt);
        boolean begins = config.beginWithBeginOfSentence() || ids.length == 0;
        int[] tokens = begins ? new int[ids.length + 1] : ids;
        if (begins) {
            tokens[0] = tokenizer.beginOfSentence();
            System.arraycopy(ids, 0, tokens, 1, ids.length);
        }
        int context = gpt.config().contextLength();
        if (tokens.length > context) {
            throw new IllegalArgumentException(
                    "the prompt has " + tokens.length + " tokens, but the model looks at no more than " + context
                            + "; shorten it by " + (tokens.length - context));
        }
        return tokens;
    }

    private void write(List<Sequence> sequences, GenerationConfig config, int capacity, long start) {
        int B = sequences.size();
        int[][] prompts = new int[B][];
        int[] streams = new int[B];
        boolean open = false;
        for (int b = 0; b < B; b++) {
            Sequence sequence = sequences.get(b);
            prompts[b] = sequence.prompt;
            streams[b] = sequence.copy;
            sequence.limit = Math.min(config.maxNewTokens(), capacity - sequence.prompt.length);
            if (sequence.limit == 0) {
                sequence.end(FinishReason.LENGTH, start);
            }
            open |= sequence.reason == null;
        }
        if (!open) {
            return;
        }
        Sampling sampling = new Sampling(config.temperature(), config.topK(), config.topP(), config.seed());
        int[] drawn = new int[B];
        try (DecodingPass pass = config.cacheType() == null
                ? gpt.decodingPass(B, capacity)
                : gpt.decodingPass(B, capacity, config.cacheType())) {
            pass.feed(prompts);
            for (int b = 0; b < B; b++) {
                if (sequences.get(b).reason != null) {
                    pass.rest(b);
                }
            }
            pass.sample(sampling, streams);
            while (true) {
                pass.tokens(drawn);
                if (!take(sequences, drawn, pass, start)) {
                    return;
                }
                pass.step();
            }
        } catch (ArithmeticException e) {
            throw new ArithmeticException(
                    "the model's logits are not numbers, so its weights are not either, or so large that"
                            + " its sums overflow: load another checkpoint, or train with a lower rate ("
                            + e.getMessage() + ")");
        }
    }

    /** Hands out the tokens to the sequences that are open. @return whether any still is */
    private boolean take(List<Sequence> sequences, int[] drawn, DecodingPass pass, long start) {
        boolean open = false;
        for (int b = 0; b < drawn.length; b++) {
            Sequence sequence = sequences.get(b);
            if (sequence.reason != null) {
                continue;
            }
            if (cancelled) {
                sequence.end(FinishReason.CANCELLED, start);
                continue;
            }
            sequence.take(drawn[b], start);
            if (sequence.reason != null) {
                pass.rest(b);
            } else {
                open = true;
            }
        }
        return open;
    }

    /** One text in the making. */
    private final class Sequence {
        private final String text;
        private final int[] prompt;
        private final int copy;
        private final GenerationConfig config;
        private final TextStream stream;
        private final List<Integer> tokens = new ArrayList<>();
        private int limit;
        private FinishReason reason;
        private double seconds;

        Sequence(String text, int[] prompt, int copy, GenerationConfig config, Consumer<String> pieces) {
            this.text = text;
            this.prompt = prompt;
            this.copy = copy;
            this.config = config;
            this.stream = new TextStream(config.stopStrings(), pieces);
        }

        void take(int token, long start) {
            tokens.add(token);
            if (config.stopTokens().contains(token)
                    || config.stopAtBeginOfSentence() && token == tokenizer.beginOfSentence()) {
                end(FinishReason.STOP_TOKEN, start);
            } else if (stream.accept(tokenizer.bytes(token))) {
                end(FinishReason.STOP_STRING, start);
            } else if (tokens.size() == limit) {
                end(FinishReason.LENGTH, start);
            }
        }

        void end(FinishReason why, long start) {
            reason = why;
            stream.finish();
            seconds = (System.nanoTime() - start) * 1e-9;
        }

        Generation result(double tokensPerSecond) {
            return new Generation(text, stream.text(), tokens, prompt.length, reason, seconds, tokensPerSecond);
        }
    }
}
