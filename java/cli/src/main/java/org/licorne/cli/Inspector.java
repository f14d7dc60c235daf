package org.licorne.cli;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import org.licorne.model.Gpt;
import org.licorne.tokenize.Tokenizer;

/** Reads off a model's logits what it expects at each position of a text. */
final class Inspector {
    private Inspector() {}

    static Inspection inspect(Gpt gpt, Tokenizer tokenizer, String text, int top) {
        int[] tokens = tokenizer.encode(text);
        int vocabulary = gpt.config().vocabularySize();
        if (tokens.length == 0) {
            throw new IllegalArgumentException("the text is empty");
        }
        if (tokenizer.vocabularySize() != vocabulary) {
            throw new IllegalArgumentException("the tokenizer has " + tokenizer.vocabularySize()
                    + " tokens, but the model's vocabulary has " + vocabulary + ": they do not belong together");
        }
        if (tokens.length > gpt.config().contextLength()) {
            throw new IllegalArgumentException("the text has " + tokens.length + " tokens, more than the "
                    + gpt.config().contextLength() + " that the model looks at; give it a shorter one");
        }
        int[] inputs = new int[tokens.length];
        inputs[0] = tokenizer.beginOfSentence();
        System.arraycopy(tokens, 0, inputs, 1, tokens.length - 1);
        float[] logits = gpt.logits(inputs, 1, inputs.length);

        List<Inspection.Position> positions = new ArrayList<>();
        double total = 0;
        for (int i = 0; i < tokens.length; i++) {
            Inspection.Position position = position(i, tokens[i], logits, i * vocabulary, vocabulary, tokenizer, top);
            positions.add(position);
            total += position.loss();
        }
        int bytes = text.getBytes(StandardCharsets.UTF_8).length;
        return new Inspection(text, total / tokens.length, total / Math.log(2) / bytes, positions);
    }

    private static Inspection.Position position(
            int index, int token, float[] logits, int offset, int vocabulary, Tokenizer tokenizer, int top) {
        double max = Double.NEGATIVE_INFINITY;
        for (int v = 0; v < vocabulary; v++) {
            max = Math.max(max, logits[offset + v]);
        }
        double sum = 0;
        int rank = 1;
        PriorityQueue<Integer> best = new PriorityQueue<>(Comparator.comparingDouble(v -> logits[offset + v]));
        for (int v = 0; v < vocabulary; v++) {
            float logit = logits[offset + v];
            sum += Math.exp(logit - max);
            rank += logit > logits[offset + token] ? 1 : 0;
            if (best.size() < top) {
                best.add(v);
            } else if (logit > logits[offset + best.peek()]) {
                best.poll();
                best.add(v);
            }
        }
        double logSum = max + Math.log(sum);
        List<Inspection.Candidate> candidates = new ArrayList<>();
        while (!best.isEmpty()) {
            int v = best.poll();
            candidates.add(0, new Inspection.Candidate(v, tokenizer.label(v), Math.exp(logits[offset + v] - logSum)));
        }
        double loss = logSum - logits[offset + token];
        return new Inspection.Position(index, token, tokenizer.label(token), Math.exp(-loss), loss, rank, candidates);
    }
}
