package org.licorne.cli;

import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The library's errors name the fields of its configurations; whoever types commands knows flags. */
final class FlagNames {
    /** Where the library names a field: first in an error about its value, or where a checkpoint has another one. */
    private static final Pattern FIELD = Pattern.compile("(?:^(?=\\w+ must )|\\bwas made with )(\\w+)");

    private static final Map<String, String> FLAGS = Map.ofEntries(
            Map.entry("maxNewTokens", "--max-new-tokens"),
            Map.entry("temperature", "--temperature"),
            Map.entry("topK", "--top-k"),
            Map.entry("topP", "--top-p"),
            Map.entry("batchSize", "--batch"),
            Map.entry("sequenceLength", "--context"),
            Map.entry("contextLength", "--context"),
            Map.entry("channels", "--channels"),
            Map.entry("layers", "--layers"),
            Map.entry("heads", "--heads"),
            Map.entry("accumulation", "--accumulate"),
            Map.entry("steps", "--steps"),
            Map.entry("seconds", "--seconds"),
            Map.entry("shape", "--schedule"),
            Map.entry("learningRate", "--learning-rate"),
            Map.entry("warmup", "--warmup"),
            Map.entry("weightDecay", "--weight-decay"),
            Map.entry("clipNorm", "--clip"),
            Map.entry("labelSmoothing", "--label-smoothing"),
            Map.entry("zLoss", "--z-loss"),
            Map.entry("recomputation", "--recompute"),
            Map.entry("seed", "--seed"),
            Map.entry("precision", "--precision"),
            Map.entry("evaluateEvery", "--eval-every"),
            Map.entry("evaluationBatches", "--eval-batches"),
            Map.entry("patience", "--patience"),
            Map.entry("checkpointEvery", "--checkpoint-every"));

    private FlagNames() {}

    /** The message with flags in the place of fields. */
    static String in(String message) {
        Matcher field = FIELD.matcher(message);
        StringBuilder text = new StringBuilder();
        int copied = 0;
        while (field.find()) {
            String name = field.group(1);
            text.append(message, copied, field.start(1)).append(FLAGS.getOrDefault(name, name));
            copied = field.end(1);
        }
        return text.append(message, copied, message.length()).toString();
    }
}
