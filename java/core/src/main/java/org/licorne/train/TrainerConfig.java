package org.licorne.train;

import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.licorne.backend.Precision;
import org.licorne.model.TrainingPass;
import org.licorne.nn.Recomputation;

/**
 * How to train. Immutable; made by {@link #builder}. What becomes of a step whose gradient or loss is not finite is
 * said at {@link Trainer}.
 *
 * @param batchSize sequences per forward pass
 * @param sequenceLength tokens per sequence; 0: the model's context length
 * @param accumulation forward passes per step; their gradients are added up
 * @param steps the run ends after so many steps, those whose update was skipped included; 0: no limit
 * @param seconds the run ends after so much time, pauses between resumed runs not counted; 0: no limit
 * @param shape what the learning rate does after the warm-up
 * @param learningRate its peak
 * @param lastLearningRate where it ends
 * @param warmup share of the run until the peak
 * @param beta1 decay of AdamW's first moment
 * @param beta2 decay of its second moment
 * @param epsilon added to AdamW's denominator
 * @param weightDecay on matrices and embeddings; never on biases and norms
 * @param clipNorm the most the global norm of a step's gradient may be; 0: no clipping
 * @param labelSmoothing share of the target's probability that is spread over the vocabulary; 0: none
 * @param zLoss weight of the squared log of the softmax's denominator in the training loss, e.g. 1e-4; 0: none
 * @param recomputation what the backward pass computes once more instead of keeping it; changes no result
 * @param outlierFactor the update of a step whose gradient norm is so many times the running mean is skipped; 0: only
 *     one whose norm is infinite or NaN is
 * @param seed for whoever initialises the model and orders the data; kept with the checkpoints
 * @param evaluateEvery steps between evaluations; 0: only at the end
 * @param evaluateEverySeconds time between evaluations; 0: by steps only
 * @param evaluationBatches batches per evaluation; 0: all of the held-out data
 * @param patience the run ends after so many evaluations without a better loss; 0: never
 * @param checkpointEvery steps between checkpoints; 0: only at evaluations that are the best, and at the end
 * @param checkpointEverySeconds time between checkpoints; 0: by steps only
 * @param keepCheckpoints how many of the newest to keep, besides the best
 * @param output the model's directory, for checkpoints and {@code metrics.jsonl}; null: nothing is written
 * @param logitsBytes how large the logits held at a time may get; 0: what the backend prefers
 * @param precision what products are computed in; null: what the backend prefers, or what the resumed run had
 */
public record TrainerConfig(
        int batchSize,
        int sequenceLength,
        int accumulation,
        long steps,
        double seconds,
        LearningRateSchedule.Shape shape,
        double learningRate,
        double lastLearningRate,
        double warmup,
        double beta1,
        double beta2,
        double epsilon,
        double weightDecay,
        double clipNorm,
        double labelSmoothing,
        double zLoss,
        Recomputation recomputation,
        double outlierFactor,
        long seed,
        long evaluateEvery,
        double evaluateEverySeconds,
        int evaluationBatches,
        int patience,
        long checkpointEvery,
        double checkpointEverySeconds,
        int keepCheckpoints,
        Path output,
        long logitsBytes,
        Precision precision) {
    public TrainerConfig {
        least("batchSize", batchSize, 1);
        least("sequenceLength", sequenceLength, 0);
        least("accumulation", accumulation, 1);
        least("steps", steps, 0);
        notNegative("seconds", seconds);
        if (steps == 0 && seconds == 0) {
            throw new IllegalArgumentException("set steps or seconds: without either the run would never end");
        }
        new LearningRateSchedule(shape, learningRate, lastLearningRate, warmup);
        share("beta1", beta1);
        share("beta2", beta2);
        if (!(epsilon > 0)) {
            throw new IllegalArgumentException("epsilon must be above 0, but is " + epsilon);
        }
        notNegative("weightDecay", weightDecay);
        notNegative("clipNorm", clipNorm);
        share("labelSmoothing", labelSmoothing);
        notNegative("zLoss", zLoss);
        if (recomputation == null) {
            throw new IllegalArgumentException("recomputation must not be null");
        }
        if (outlierFactor != 0 && !(outlierFactor > 1)) {
            throw new IllegalArgumentException("outlierFactor must be 0 (off) or above 1, but is " + outlierFactor);
        }
        least("evaluateEvery", evaluateEvery, 0);
        notNegative("evaluateEverySeconds", evaluateEverySeconds);
        least("evaluationBatches", evaluationBatches, 0);
        least("patience", patience, 0);
        least("checkpointEvery", checkpointEvery, 0);
        notNegative("checkpointEverySeconds", checkpointEverySeconds);
        least("keepCheckpoints", keepCheckpoints, 1);
        least("logitsBytes", logitsBytes, 0);
    }

    private static void least(String name, long value, long least) {
        if (value < least) {
            throw new IllegalArgumentException(name + " must be at least " + least + ", but is " + value);
        }
    }

    private static void notNegative(String name, double value) {
        if (!(value >= 0) || Double.isInfinite(value)) {
            throw new IllegalArgumentException(name + " must be finite and 0 or more, but is " + value);
        }
    }

    private static void share(String name, double value) {
        if (!(value >= 0 && value < 1)) {
            throw new IllegalArgumentException(name + " must be at least 0 and below 1, but is " + value);
        }
    }

    public LearningRateSchedule schedule() {
        return new LearningRateSchedule(shape, learningRate, lastLearningRate, warmup);
    }

    /** Tokens per step, if the sequence length is set. */
    public long tokensPerStep() {
        return (long) batchSize * sequenceLength * accumulation;
    }

    /** All values as text, for checkpoints and for people; the output directory is left out, as a run may be moved. */
    public Map<String, String> describe() {
        Map<String, String> values = new TreeMap<>();
        values.put("batchSize", Integer.toString(batchSize));
        values.put("sequenceLength", Integer.toString(sequenceLength));
        values.put("accumulation", Integer.toString(accumulation));
        values.put("steps", Long.toString(steps));
        values.put("seconds", Double.toString(seconds));
        values.put("shape", shape.name());
        values.put("learningRate", Double.toString(learningRate));
        values.put("lastLearningRate", Double.toString(lastLearningRate));
        values.put("warmup", Double.toString(warmup));
        values.put("beta1", Double.toString(beta1));
        values.put("beta2", Double.toString(beta2));
        values.put("epsilon", Double.toString(epsilon));
        values.put("weightDecay", Double.toString(weightDecay));
        values.put("clipNorm", Double.toString(clipNorm));
        values.put("labelSmoothing", Double.toString(labelSmoothing));
        values.put("zLoss", Double.toString(zLoss));
        values.put("recomputation", recomputation.name());
        values.put("outlierFactor", Double.toString(outlierFactor));
        values.put("seed", Long.toString(seed));
        values.put("precision", precision == null ? "AUTO" : precision.name());
        return values;
    }

    /** The same with that precision. */
    public TrainerConfig withPrecision(Precision chosen) {
        return toBuilder().precision(chosen).build();
    }

    public static Builder builder() {
        return new Builder();
    }

    /** Starts from these values. */
    public Builder toBuilder() {
        Builder builder = new Builder();
        builder.batchSize = batchSize;
        builder.sequenceLength = sequenceLength;
        builder.accumulation = accumulation;
        builder.steps = steps;
        builder.seconds = seconds;
        builder.shape = shape;
        builder.learningRate = learningRate;
        builder.lastLearningRate = lastLearningRate;
        builder.warmup = warmup;
        builder.beta1 = beta1;
        builder.beta2 = beta2;
        builder.epsilon = epsilon;
        builder.weightDecay = weightDecay;
        builder.clipNorm = clipNorm;
        builder.labelSmoothing = labelSmoothing;
        builder.zLoss = zLoss;
        builder.recomputation = recomputation;
        builder.outlierFactor = outlierFactor;
        builder.seed = seed;
        builder.evaluateEvery = evaluateEvery;
        builder.evaluateEverySeconds = evaluateEverySeconds;
        builder.evaluationBatches = evaluationBatches;
        builder.patience = patience;
        builder.checkpointEvery = checkpointEvery;
        builder.checkpointEverySeconds = checkpointEverySeconds;
        builder.keepCheckpoints = keepCheckpoints;
        builder.output = output;
        builder.logitsBytes = logitsBytes;
        builder.precision = precision;
        return builder;
    }

    /** Defaults are those of GPT-3's training where it says something. Not thread-safe. */
    public static final class Builder {
        private int batchSize = 8;
        private int sequenceLength = 0;
        private int accumulation = 1;
        private long steps = 0;
        private double seconds = 0;
        private LearningRateSchedule.Shape shape = LearningRateSchedule.Shape.COSINE;
        private double learningRate = 6e-4;
        private double lastLearningRate = -1;
        private double warmup = 0.05;
        private long warmupSteps = -1;
        private double beta1 = 0.9;
        private double beta2 = 0.95;
        private double epsilon = 1e-8;
        private double weightDecay = 0.1;
        private double clipNorm = 1;
        private double labelSmoothing = 0;
        private double zLoss = 0;
        private Recomputation recomputation = TrainingPass.DEFAULT_RECOMPUTATION;
        private double outlierFactor = 0;
        private long seed = 1;
        private long evaluateEvery = 0;
        private double evaluateEverySeconds = 0;
        private int evaluationBatches = 0;
        private int patience = 0;
        private long checkpointEvery = 0;
        private double checkpointEverySeconds = 0;
        private int keepCheckpoints = 2;
        private Path output;
        private long logitsBytes = TrainingPass.PREFERRED_LOGITS_BYTES;
        private Precision precision;

        private Builder() {}

        public Builder batchSize(int sequences) {
            batchSize = sequences;
            return this;
        }

        /** 0: the model's context length. */
        public Builder sequenceLength(int tokens) {
            sequenceLength = tokens;
            return this;
        }

        public Builder accumulation(int passes) {
            accumulation = passes;
            return this;
        }

        public Builder steps(long count) {
            steps = count;
            return this;
        }

        public Builder seconds(double budget) {
            seconds = budget;
            return this;
        }

        public Builder shape(LearningRateSchedule.Shape value) {
            shape = value;
            return this;
        }

        public Builder learningRate(double peak) {
            learningRate = peak;
            return this;
        }

        /** A tenth of the peak unless set. */
        public Builder lastLearningRate(double rate) {
            lastLearningRate = rate;
            return this;
        }

        /** Share of the run, 0 to 1. */
        public Builder warmup(double share) {
            warmup = share;
            warmupSteps = -1;
            return this;
        }

        /** The same in steps; for runs with a number of steps. */
        public Builder warmupSteps(long count) {
            warmupSteps = count;
            return this;
        }

        public Builder beta1(double value) {
            beta1 = value;
            return this;
        }

        public Builder beta2(double value) {
            beta2 = value;
            return this;
        }

        public Builder epsilon(double value) {
            epsilon = value;
            return this;
        }

        public Builder weightDecay(double value) {
            weightDecay = value;
            return this;
        }

        public Builder clipNorm(double norm) {
            clipNorm = norm;
            return this;
        }

        /** Evaluation takes the plain loss whatever is set here. */
        public Builder labelSmoothing(double share) {
            labelSmoothing = share;
            return this;
        }

        /** As {@link #labelSmoothing}, for the training loss only. */
        public Builder zLoss(double weight) {
            zLoss = weight;
            return this;
        }

        /** Trades time for memory; the weights come out with the same bits. */
        public Builder recomputation(Recomputation what) {
            recomputation = what;
            return this;
        }

        public Builder outlierFactor(double factor) {
            outlierFactor = factor;
            return this;
        }

        public Builder seed(long value) {
            seed = value;
            return this;
        }

        public Builder evaluateEvery(long stepCount) {
            evaluateEvery = stepCount;
            return this;
        }

        public Builder evaluateEverySeconds(double time) {
            evaluateEverySeconds = time;
            return this;
        }

        public Builder evaluationBatches(int count) {
            evaluationBatches = count;
            return this;
        }

        public Builder patience(int evaluations) {
            patience = evaluations;
            return this;
        }

        public Builder checkpointEvery(long stepCount) {
            checkpointEvery = stepCount;
            return this;
        }

        public Builder checkpointEverySeconds(double time) {
            checkpointEverySeconds = time;
            return this;
        }

        public Builder keepCheckpoints(int count) {
            keepCheckpoints = count;
            return this;
        }

        public Builder output(Path directory) {
            output = directory;
            return this;
        }

        public Builder logitsBytes(long bytes) {
            logitsBytes = bytes;
            return this;
        }

        /** Null, the default: BF16 where the backend has its products, else F32; a resumed run keeps what it had. */
        public Builder precision(Precision chosen) {
            precision = chosen;
            return this;
        }

        /** @throws IllegalArgumentException that names the value that does not fit */
        public TrainerConfig build() {
            if (warmupSteps >= 0 && steps == 0) {
                throw new IllegalArgumentException(
                        "a warm-up in steps needs a number of steps; for a budget of time give a share of the run");
            }
            double share = warmupSteps < 0 ? warmup : Math.min(1, (double) warmupSteps / steps);
            return new TrainerConfig(
                    batchSize,
                    sequenceLength,
                    accumulation,
                    steps,
                    seconds,
                    shape,
                    learningRate,
                    lastLearningRate < 0 ? learningRate / 10 : lastLearningRate,
                    share,
                    beta1,
                    beta2,
                    epsilon,
                    weightDecay,
                    clipNorm,
                    labelSmoothing,
                    zLoss,
                    recomputation,
                    outlierFactor,
                    seed,
                    evaluateEvery,
                    evaluateEverySeconds,
                    evaluationBatches,
                    patience,
                    checkpointEvery,
                    checkpointEverySeconds,
                    keepCheckpoints,
                    output,
                    logitsBytes,
                    precision);
        }
    }
}
