package org.licorne.train;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.checkpoint.TrainingCheckpoint;
import org.licorne.checkpoint.TrainingState;
import org.licorne.model.Gpt;
import org.licorne.model.TrainingPass;
import org.licorne.tensor.MemoryScope;
import org.licorne.train.TrainingListener.Evaluation;
import org.licorne.train.TrainingListener.SkippedUpdate;
import org.licorne.train.TrainingListener.StepMetrics;
import org.licorne.train.TrainingResult.EndReason;

/**
 * Trains a {@link Gpt}: AdamW, schedule, accumulation, clipping, evaluation, checkpoints.
 *
 * <p>With an output directory it may be killed at any moment: {@link #resume} goes on from the newest checkpoint. Where
 * steps limit the run, a resumed one gives bit for bit the weights of an uninterrupted one; where time sets the
 * learning rate, it goes on from the time used so far, but steps need not fall on the same moments.
 *
 * <p>A step whose gradient has a norm that is infinite or NaN changes neither weights nor moments, and the run goes on
 * with the next batch ({@link TrainingListener#skipped} tells of it); so does one beyond
 * {@link TrainerConfig#outlierFactor}. Such a step still counts: towards the run's steps and the learning rate, and in
 * AdamW's bias correction, which then takes the moments for a step older than they are; that changes the size of the
 * next updates while {@code beta2^step} is not near 0, and nothing later. An infinite loss alone refuses no step: where
 * the gradient's norm is finite, the update is applied, as it lowers that loss. Twenty steps on end whose loss or norm
 * is not finite end the run with {@link TrainingDivergedException}.
 *
 * <p>Whoever makes it closes it, before the model, which stays the caller's. One thread trains; {@link #requestStop}
 * and {@link #awaitEnd} may come from others, e.g. a shutdown hook.
 */
public final class Trainer implements AutoCloseable {
    private final Gpt gpt;
    private final BatchSource training;
    private final BatchSource validation;
    private final boolean precisionAsked;
    private TrainerConfig config; // with the precision in use
    private final int T;
    private final List<TrainingListener> listeners = new ArrayList<>();
    private final MemoryScope scope;
    private TrainingPass pass;
    private final AdamW optimiser;
    private final RunCheckpoints checkpoints; // null without an output directory
    private final LearningRateSchedule schedule;
    private final UpdateGate gate;
    private final RunProgress progress = new RunProgress();
    private final StepBatches batches;
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile boolean stopRequested;
    private boolean ran;
    private final IssuedStep[] steps = new IssuedStep[2]; // of even and of odd number, by turns
    private IssuedStep outstanding; // issued, but not yet told of
    private double lastStepSeconds;
    private long lastSettled = Long.MIN_VALUE; // System.nanoTime
    private double stepSecondsOfRun;
    private long tokensOfRun;
    private long clock; // System.nanoTime up to which elapsed time was counted
    private long lastCheckpointStep = -1;
    private double lastEvaluationSeconds;
    private double lastCheckpointSeconds;

    /**
     * Takes the memory it will need, and no more later. From now on the model computes in the configuration's
     * precision.
     *
     * @param training what to learn from
     * @param validation held-out data, or null: no evaluation
     * @throws OutOfDeviceMemoryException before anything is allocated, if the backend has too little
     * @throws IllegalArgumentException if the configuration does not fit the model
     * @throws BackendUnavailableException if the backend lacks the precision asked for
     */
    public Trainer(Gpt gpt, BatchSource training, BatchSource validation, TrainerConfig config) {
        this.gpt = gpt;
        this.training = training;
        this.validation = validation;
        this.precisionAsked = config.precision() != null;
        this.config =
                precisionAsked ? config : config.withPrecision(gpt.backend().preferredPrecision());
        this.T = config.sequenceLength() == 0 ? gpt.config().contextLength() : config.sequenceLength();
        if (T > gpt.config().contextLength()) {
            throw new IllegalArgumentException("sequences of " + T + " tokens are longer than the model's context of "
                    + gpt.config().contextLength());
        }
        if (training.tokens() < 1) {
            throw new IllegalArgumentException("there is nothing to train on: the training data has no tokens");
        }
        gpt.computeIn(this.config.precision());
        long slabs = gpt.memory().bytes() * (gpt.memory().hasGradients() ? 2 : 1);
        TrainingMemory.require(gpt.backend(), gpt.config(), config, slabs);
        this.schedule = config.schedule();
        this.gate = new UpdateGate(config.outlierFactor());
        this.batches = new StepBatches(config.accumulation(), config.batchSize(), T);
        this.scope = new MemoryScope(gpt.backend(), "trainer");
        try {
            pass = newPass();
            optimiser = new AdamW(gpt, scope);
            for (int i = 0; i < steps.length; i++) {
                steps[i] = new IssuedStep(gpt.backend(), pass, batches.count());
            }
            checkpoints = config.output() == null ? null : new RunCheckpoints(config, gpt, optimiser);
        } catch (RuntimeException e) {
            closeMemory();
            throw e;
        }
    }

    private TrainingPass newPass() {
        return gpt.trainingPass(config.batchSize(), T, config.logitsBytes(), config.recomputation());
    }

    /** Hears of everything from now on. */
    public Trainer addListener(TrainingListener listener) {
        listeners.add(listener);
        return this;
    }

    /** As given, but with the precision in use. */
    public TrainerConfig config() {
        return config;
    }

    public Gpt model() {
        return gpt;
    }

    AdamW optimiser() {
        return optimiser;
    }

    /** Tokens per sequence. */
    public int sequenceLength() {
        return T;
    }

    /** Steps done so far; on a device the last may still be under way. */
    public long step() {
        return progress.step;
    }

    /**
     * Goes on from the newest checkpoint in the output directory, in its precision unless the configuration asks for
     * another.
     *
     * @return false if there is none: the run starts at the beginning
     * @throws IllegalArgumentException if the checkpoint belongs to other data, batches or another seed
     * @throws BackendUnavailableException if its precision is not to be had here
     */
    public boolean resume() {
        Optional<TrainingCheckpoint> latest = requireCheckpoints("resume").latest();
        if (latest.isEmpty()) {
            return false;
        }
        TrainingState state = latest.get().state();
        ResumeConditions.check(latest.get(), state, config, training.fingerprint());
        if (!precisionAsked) {
            adopt(ResumeConditions.precision(latest.get(), state, config, gpt.backend()));
        }
        checkpoints.restore(latest.get());
        progress.restore(state);
        gate.restore(state.counters());
        lastCheckpointStep = progress.step;
        return true;
    }

    private void adopt(Precision precision) {
        if (precision != config.precision()) {
            gpt.computeIn(precision);
            config = config.withPrecision(precision);
            pass.close();
            pass = newPass();
        }
    }

    /** Removes the checkpoints of an earlier run from the output directory. */
    public void startOver() {
        requireCheckpoints("start over").clear();
    }

    /** Puts the weights with the lowest validation loss into the model; the run is not continued from them. */
    public boolean restoreBest() {
        return requireCheckpoints("go back to the best weights").restoreBest();
    }

    private RunCheckpoints requireCheckpoints(String purpose) {
        if (checkpoints == null) {
            throw new IllegalStateException("to " + purpose + " needs an output directory in the configuration");
        }
        return checkpoints;
    }

    /**
     * Trains until steps or time are used up, there is no more progress, or a stop is requested. Ends with an
     * evaluation (not where a stop was requested) and a checkpoint.
     *
     * @throws TrainingDivergedException if loss or gradients stay non-finite
     * @throws IllegalArgumentException that names the step, if its batch holds what is no token of the model
     * @throws IllegalStateException if it ran before, or the output directory holds another run's checkpoints
     */
    public TrainingResult run() {
        if (ran) {
            throw new IllegalStateException("a trainer runs once; make another one to go on");
        }
        if (checkpoints != null && progress.step == 0 && lastCheckpointStep < 0) {
            checkpoints.requireNone();
        }
        ran = true;
        try (MetricsFile metrics = checkpoints == null ? null : new MetricsFile(config.output())) {
            if (metrics != null) {
                listeners.add(0, metrics);
            }
            listeners.forEach(listener -> listener.started(config, progress.step));
            clock = System.nanoTime();
            lastEvaluationSeconds = progress.elapsedSeconds();
            lastCheckpointSeconds = progress.elapsedSeconds();
            EndReason reason;
            while ((reason = endReason()) == null) {
                trainStep();
            }
            settle();
            return end(reason);
        } finally {
            ended.countDown();
        }
    }

    private EndReason endReason() {
        if (stopRequested) {
            return EndReason.STOPPED;
        }
        if (config.steps() > 0 && progress.step >= config.steps()) {
            return EndReason.STEPS;
        }
        if (config.seconds() > 0 && progress.elapsedSeconds() >= config.seconds()) {
            return EndReason.TIME;
        }
        return config.patience() > 0 && progress.evaluationsWithoutBest >= config.patience()
                ? EndReason.NO_PROGRESS
                : null;
    }

    private TrainingResult end(EndReason reason) {
        // Whoever stops a run may not wait for long, and a resumed run must not have evaluated more than another.
        boolean evaluates = validation != null && reason != EndReason.STOPPED;
        boolean checkpointDue = lastCheckpointStep != progress.step;
        if (evaluates && Double.isNaN(progress.validationLoss) && progress.step > 0) {
            checkpointDue |= evaluateAndTell(); // the best must be on the disk, with its loss
        }
        if (checkpoints != null && checkpointDue) {
            checkpoint();
        }
        TrainingResult result = new TrainingResult(
                reason,
                progress.step,
                progress.tokensSeen,
                progress.elapsedSeconds(),
                progress.lastLoss,
                progress.latestValidationLoss,
                progress.bestValidationLoss,
                stepSecondsOfRun > 0 ? tokensOfRun / stepSecondsOfRun : 0);
        listeners.forEach(listener -> listener.ended(result));
        return result;
    }

    /** Ends the run after the current step with a checkpoint; may come from any thread. */
    public void requestStop() {
        stopRequested = true;
    }

    /** Waits until {@link #run} has written its last checkpoint. @return false if the time was not enough */
    public boolean awaitEnd(Duration timeout) throws InterruptedException {
        return ended.await(timeout.toNanos(), TimeUnit.NANOSECONDS);
    }

    private void trainStep() {
        IssuedStep next = steps[(int) (progress.step & 1)];
        try {
            issue(next);
        } catch (IllegalArgumentException e) {
            settleDespite(e);
            throw inStep(Long.toString(progress.step + 1), e);
        } catch (RuntimeException e) {
            settleDespite(e);
            throw e;
        }
        settle(); // what the device did before; it is busy with the next one already
        outstanding = next;
        if (next.numbers.isComplete()) {
            settle();
        }
        afterStep();
    }

    /** Hands a whole step to the backend, whose numbers will tell whether its update was applied. */
    private void issue(IssuedStep issued) {
        issued.startedAt = System.nanoTime();
        int unsettled = outstanding == null ? 1 : 2;
        issued.learningRate = schedule.at(share(progress.step + 1, unsettled * lastStepSeconds));
        issued.targets = batches.fill(training, progress.batchIndex);
        progress.batchIndex += batches.count();
        gpt.zeroGradients();
        issued.numbers.clear();
        float scale = issued.targets == 0 ? 0 : (float) (1.0 / issued.targets);
        for (int i = 0; i < batches.count(); i++) {
            pass.lossAndGradients(
                    batches.inputs(i),
                    batches.targets(i),
                    scale,
                    (float) config.labelSmoothing(),
                    (float) config.zLoss(),
                    issued.numbers);
        }
        optimiser.gradientNorm(issued.numbers);
        issued.step = progress.step + 1;
        if (issued.targets > 0) {
            optimiser.update(
                    issued.learningRate,
                    config.beta1(),
                    config.beta2(),
                    config.epsilon(),
                    config.weightDecay(),
                    config.clipNorm(),
                    gate.largestNorm(issued.step),
                    issued.step);
        }
        progress.step++;
        issued.tokens = batches.tokens();
        progress.tokensSeen += issued.tokens;
        issued.tokensSeen = progress.tokensSeen;
        progress.validationLoss = Double.NaN;
    }

    /** Waits for the numbers of the step that is under way, if one is, and tells of it. */
    private void settle() {
        IssuedStep done = outstanding;
        if (done == null) {
            return;
        }
        outstanding = null;
        try {
            done.take(pass);
        } catch (IllegalArgumentException e) { // what a device found out, maybe about the step that it does by now
            throw inStep(progress.step > done.step ? done.step + " or " + progress.step : "" + done.step, e);
        }
        String refused = done.targets == 0
                ? "no position of the batch has a target"
                : gate.judge(done.step, done.loss(), done.gradientNorm());
        progress.lastLoss = done.loss();
        countTime();
        lastStepSeconds = Math.max(1e-9, (clock - Math.max(done.startedAt, lastSettled)) * 1e-9);
        lastSettled = clock;
        stepSecondsOfRun += lastStepSeconds;
        tokensOfRun += done.tokens;
        if (refused != null) {
            SkippedUpdate skipped = new SkippedUpdate(done.step, done.loss(), done.gradientNorm(), refused);
            listeners.forEach(listener -> listener.skipped(skipped));
        }
        StepMetrics metrics = done.metrics(
                share(done.step, 0),
                lastStepSeconds,
                progress.elapsedSeconds(),
                gpt.config().trainingFlopsPerToken(T));
        for (int i = 0; i < listeners.size(); i++) {
            listeners.get(i).step(metrics);
        }
    }

    /** Says which step's data or ops were refused; whoever orders the data finds the batch by it. */
    private static IllegalArgumentException inStep(String step, IllegalArgumentException refused) {
        return new IllegalArgumentException("step " + step + ": " + refused.getMessage(), refused);
    }

    /** Tells of the step before the one that failed. */
    private void settleDespite(RuntimeException failure) {
        try {
            settle();
        } catch (RuntimeException another) {
            failure.addSuppressed(another);
        }
    }

    /** Share of the run that is done after so many steps, so many seconds from now. */
    private double share(long stepsDone, double moreSeconds) {
        double bySteps = config.steps() == 0 ? 0 : (double) stepsDone / config.steps();
        double byTime = config.seconds() == 0 ? 0 : (progress.elapsedSeconds() + moreSeconds) / config.seconds();
        return Math.min(1, Math.max(bySteps, byTime));
    }

    private void afterStep() {
        boolean checkpointDue = due(config.checkpointEvery(), config.checkpointEverySeconds(), lastCheckpointSeconds);
        boolean evaluationDue =
                validation != null && due(config.evaluateEvery(), config.evaluateEverySeconds(), lastEvaluationSeconds);
        if (evaluationDue || checkpointDue) {
            settle();
        }
        if (evaluationDue) {
            checkpointDue |= evaluateAndTell();
        }
        if (checkpoints != null && checkpointDue) {
            checkpoint();
        }
    }

    private boolean due(long everySteps, double everySeconds, double lastSeconds) {
        return everySteps > 0 && progress.step % everySteps == 0
                || everySeconds > 0 && progress.elapsedSeconds() - lastSeconds >= everySeconds;
    }

    /** @return whether it is the best so far */
    private boolean evaluateAndTell() {
        long start = System.nanoTime();
        long[] counted = new long[1];
        double loss = evaluate(counted);
        boolean best = !(loss >= progress.bestValidationLoss) && !Double.isNaN(loss);
        progress.validationLoss = loss;
        progress.latestValidationLoss = loss;
        progress.bestValidationLoss = best ? loss : progress.bestValidationLoss;
        progress.evaluationsWithoutBest = best ? 0 : progress.evaluationsWithoutBest + 1;
        countTime();
        Evaluation evaluation = new Evaluation(
                progress.step,
                loss,
                counted[0],
                best,
                progress.tokensSeen,
                (System.nanoTime() - start) * 1e-9,
                progress.elapsedSeconds());
        listeners.forEach(listener -> listener.evaluated(evaluation));
        countTime();
        lastEvaluationSeconds = progress.elapsedSeconds();
        return best;
    }

    /** Mean loss on the held-out data, in nats per target. */
    public double evaluate() {
        if (validation == null) {
            throw new IllegalStateException("the trainer was made without held-out data");
        }
        return evaluate(new long[1]);
    }

    private double evaluate(long[] counted) {
        long perBatch = (long) config.batchSize() * T;
        long all = Math.max(1, (validation.tokens() + perBatch - 1) / perBatch);
        long count = config.evaluationBatches() == 0 ? all : Math.min(all, config.evaluationBatches());
        double sum = 0;
        for (long index = 0; index < count; index++) {
            counted[0] += batches.fill(0, validation, index);
            sum += pass.evaluate(batches.inputs(0), batches.targets(0));
        }
        return sum / counted[0];
    }

    private void checkpoint() {
        countTime();
        TrainingState state = progress.state(config, training.fingerprint(), gate);
        Path written = checkpoints.save(state);
        lastCheckpointStep = progress.step;
        countTime();
        lastCheckpointSeconds = progress.elapsedSeconds();
        listeners.forEach(listener -> listener.checkpointed(progress.step, written));
    }

    private void countTime() {
        long now = System.nanoTime();
        progress.elapsedNanos += now - clock;
        clock = now;
    }

    /** Gives its memory back and lets go of the output directory; the model stays open. Idempotent. */
    @Override
    public void close() {
        try {
            if (checkpoints != null) {
                checkpoints.close();
            }
        } finally {
            closeMemory();
        }
    }

    private void closeMemory() {
        try (scope;
                TrainingPass open = pass;
                IssuedStep even = steps[0];
                IssuedStep odd = steps[1]) {
            outstanding = null; // closing waits for what is under way
        }
    }
}
