package org.licorne.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.licorne.backend.Precision;
import org.licorne.checkpoint.ModelDirectory;
import org.licorne.cpu.MachineProbe;
import org.licorne.generate.GenerationConfig;
import org.licorne.generate.Generator;
import org.licorne.model.Gpt;
import org.licorne.text.BitsPerByte;
import org.licorne.text.PackedDocuments;
import org.licorne.train.MetricsFile;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingResult;
import org.licorne.train.TrainingResult.EndReason;

/**
 * Trains a model for a person: with progress, samples, a checkpoint when it is told to stop, and a model directory with
 * its loss curve at the end. One use only.
 */
final class TrainingRun {
    private static final Duration LONGEST_STOP = Duration.ofMinutes(5);
    private static final double PROBE_SECONDS = 0.02;
    private static final int PROBES = 6;
    private static final int SAMPLE_TOKENS = 40;

    private final Gpt gpt;
    private final TokenizedText text;
    private final TrainerConfig config;
    private final PrintWriter out;
    private final PrintWriter error;
    private final CountDownLatch finished = new CountDownLatch(1);
    private volatile Exception failure;

    TrainingRun(Gpt gpt, TokenizedText text, TrainerConfig config, PrintWriter out, PrintWriter error) {
        this.gpt = gpt;
        this.text = text;
        this.config = config;
        this.out = out;
        this.error = error;
    }

    /**
     * Trains, and saves the model into the configuration's output directory.
     *
     * @param resume whether to go on from the newest checkpoint
     * @param samplePrompt what the sample after each evaluation continues
     * @param whenStopped what someone who stops the run is told besides where it was saved
     * @param settings kept as the run's own once nothing about it is refused any more; null: those it has stay
     */
    TrainingResult run(boolean resume, String samplePrompt, String whenStopped, Map<String, List<String>> settings)
            throws IOException {
        PackedDocuments training = PackedDocuments.training(text.training(), config.seed());
        PackedDocuments validation = text.heldOut().tokens() == 0 ? null : PackedDocuments.validation(text.heldOut());
        try (Trainer trainer = new Trainer(gpt, training, validation, config)) {
            if (resume && trainer.resume()) {
                out.println("Going on from step " + trainer.step() + " in "
                        + BackendOptions.name(trainer.config().precision()) + ".");
            }
            if (settings != null) {
                RunFile.write(config.output(), settings);
            }
            Thread stop = new Thread(() -> stop(trainer, whenStopped), "stop");
            Runtime.getRuntime().addShutdownHook(stop);
            try {
                TrainingResult result = train(trainer, samplePrompt);
                save(result.reason());
                return result;
            } catch (IOException | RuntimeException e) {
                failure = e;
                throw e;
            } finally {
                finished.countDown();
                removeHook(stop);
            }
        }
    }

    private TrainingResult train(Trainer trainer, String samplePrompt) {
        try (TrainingReport report =
                new TrainingReport(out, error, bitsPerByteOfOneNat(), peakFlopsPerSecond(), sampler(samplePrompt))) {
            TrainingResult result = trainer.addListener(report).run();
            if (result.reason() == EndReason.NO_PROGRESS) {
                trainer.restoreBest();
            }
            return result;
        }
    }

    /** On Ctrl-C or SIGTERM: the process may go once the checkpoint and the model are on the disk. */
    private void stop(Trainer trainer, String whenStopped) {
        error.println();
        error.println("Stopping: writing a checkpoint first …");
        trainer.requestStop();
        try {
            if (!finished.await(LONGEST_STOP.toSeconds(), TimeUnit.SECONDS)) {
                error.println("Not saved within " + LONGEST_STOP.toMinutes() + " minutes; ending anyway.");
            } else if (failure != null) { // the process ends before anyone else can say it
                error.println("Not saved: " + ErrorMessage.of(failure));
            } else {
                error.println("Saved in " + config.output() + whenStopped + ".");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void removeHook(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // The process is ending, and the hook is what waits for us.
        }
    }

    private void save(EndReason reason) throws IOException {
        ModelDirectory.save(gpt, text.tokenizer(), config.output());
        if (reason == EndReason.STOPPED) {
            return; // a process that is ending cannot draw any more
        }
        LossChart.ofMetrics(config.output().resolve(MetricsFile.FILE_NAME), title())
                .save(config.output().resolve("loss.png"));
    }

    private String title() {
        return Quantities.count(gpt.config().parameters()) + " parameters, "
                + Quantities.count(text.training().tokens()) + " tokens of text";
    }

    private Supplier<String> sampler(String prompt) {
        Generator generator = new Generator(gpt, text.tokenizer());
        int context = gpt.config().contextLength();
        GenerationConfig sample = GenerationConfig.builder()
                .maxNewTokens(Math.min(SAMPLE_TOKENS, context))
                .seed(config.seed())
                .build();
        return () -> prompt + generator.generate(prompt, sample).text();
    }

    /** What a loss of one nat per token means in bits per byte of the held-out text. */
    private double bitsPerByteOfOneNat() {
        var store = text.heldOut().tokens() == 0 ? text.training() : text.heldOut();
        return BitsPerByte.of(1, store.tokens(), BitsPerByte.bytes(store, text.tokenizer()));
    }

    /** Measured with the threads, the instruction set and the precision that train. */
    private OptionalDouble peakFlopsPerSecond() {
        if (!gpt.backend().name().equals("cpu")) {
            return OptionalDouble.empty();
        }
        double peak = 0;
        for (int i = 0; i < PROBES; i++) { // the best of several: others may be using the processors for a moment
            peak = Math.max(
                    peak,
                    gpt.precision() == Precision.BF16
                            ? MachineProbe.bfloat16FlopsPerSecond(PROBE_SECONDS)
                            : MachineProbe.floatFlopsPerSecond(PROBE_SECONDS));
        }
        return OptionalDouble.of(peak);
    }
}
