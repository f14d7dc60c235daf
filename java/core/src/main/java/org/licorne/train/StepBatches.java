package org.licorne.train;

/** The tokens of one step on the host: as many batches as it accumulates, filled anew for each. Not thread-safe. */
final class StepBatches {
    private final int batchSize;
    private final int sequenceLength;
    private final int[][] inputs;
    private final int[][] targets;

    StepBatches(int batches, int batchSize, int sequenceLength) {
        this.batchSize = batchSize;
        this.sequenceLength = sequenceLength;
        inputs = new int[batches][Math.multiplyExact(batchSize, sequenceLength)];
        targets = new int[batches][batchSize * sequenceLength];
    }

    int count() {
        return inputs.length;
    }

    int[] inputs(int i) {
        return inputs[i];
    }

    int[] targets(int i) {
        return targets[i];
    }

    /** Tokens of all batches. */
    long tokens() {
        return (long) inputs.length * batchSize * sequenceLength;
    }

    /** Fills all of them. @return how many of their positions have a target */
    long fill(BatchSource source, long firstIndex) {
        long counted = 0;
        for (int i = 0; i < inputs.length; i++) {
            counted += fill(i, source, firstIndex + i);
        }
        return counted;
    }

    /** Fills one of them. @return how many of its positions have a target */
    long fill(int i, BatchSource source, long index) {
        source.fill(index, batchSize, sequenceLength, inputs[i], targets[i]);
        long counted = 0;
        for (int id : targets[i]) {
            counted += id >= 0 ? 1 : 0;
        }
        return counted;
    }
}
