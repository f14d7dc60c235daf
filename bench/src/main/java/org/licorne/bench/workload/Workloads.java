package org.licorne.bench.workload;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Kernels;
import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorch;
import org.licorne.model.GptConfig;
import org.licorne.model.GptSize;

/** Opens what a {@link WorkloadSpec} describes. */
public final class Workloads {
    /** Of models that are no preset. */
    private static final int OWN_VOCABULARY = 4096;

    private static final Pattern OWN_SHAPE = Pattern.compile("(\\d{1,4})x(\\d{1,6})x(\\d{1,4})");

    private Workloads() {}

    /** Opens the work on PyTorch, or on a backend that is closed with it. */
    public static Workload open(WorkloadSpec spec) {
        if (spec.runsOnPyTorch()) {
            if (PyTorch.unavailableReason() != null) {
                throw new UnsupportedOperationException(PyTorch.unavailableReason());
            }
            return onPyTorch(spec, config(spec));
        }
        Backend backend = openEngine(spec.engine());
        try {
            return new OwningWorkload(onLicorne(spec, config(spec), backend), backend);
        } catch (RuntimeException e) {
            backend.close();
            throw e;
        }
    }

    /** Opens a backend, or a rival that acts as one; the caller closes it. */
    public static Backend openEngine(String engine) {
        if (!engine.equals(WorkloadSpec.JAVA_VECTOR)) {
            return Backends.open(engine);
        }
        return RivalProvider.find(engine)
                .orElseThrow(() -> new UnsupportedOperationException(
                        engine + " needs a JVM started with --add-modules jdk.incubator.vector"))
                .open(Integer.getInteger("licorne.threads", Runtime.getRuntime().availableProcessors()));
    }

    /**
     * The model whose shapes the work has: a preset, whose context is stretched where the work asks for more, or {@code
     * LAYERSxCHANNELSxHEADS} with a vocabulary of {@value #OWN_VOCABULARY} and a context as long as the work's.
     */
    public static GptConfig config(WorkloadSpec spec) {
        Matcher own = OWN_SHAPE.matcher(spec.size());
        if (own.matches()) {
            return new GptConfig(OWN_VOCABULARY, spec.context(), number(own, 2), number(own, 1), number(own, 3));
        }
        GptConfig config = GptSize.named(spec.size()).config();
        return spec.context() > config.contextLength() ? config.withContextLength(spec.context()) : config;
    }

    private static int number(Matcher shape, int group) {
        return Integer.parseInt(shape.group(group));
    }

    /** Opens the work on a backend that stays the caller's. */
    public static Workload onLicorne(WorkloadSpec spec, GptConfig config, Backend backend) {
        Kernels kernels = backend.kernels(WorkloadSpec.products(spec.precision()));
        int B = spec.batch();
        int T = spec.context();
        return switch (spec.kind()) {
            case TRAINING_STEP ->
                new LicorneTrainingStep(backend, WorkloadSpec.products(spec.precision()), config, B, T);
            case ATTENTION ->
                new LicorneAttention(backend, kernels, AttentionData.random(B, T, config.heads(), config.headSize()));
            case CROSS_ENTROPY ->
                new LicorneCrossEntropy(backend, kernels, CrossEntropyData.random(B * T, config.vocabularySize()));
            case SOFTMAX ->
                new LicorneSoftmax(backend, kernels, CrossEntropyData.random(B * T, config.vocabularySize()));
            case LINEAR ->
                new LicorneLinear(
                        backend,
                        kernels,
                        LinearData.random(B * T, config.channels(), Math.toIntExact(config.hiddenChannels())));
            case DECODE -> new LicorneDecoding(backend, config, B, T, spec.precision());
        };
    }

    private static Workload onPyTorch(WorkloadSpec spec, GptConfig config) {
        Precision precision = spec.precision().equals("bf16") ? Precision.BF16 : Precision.FP32;
        int B = spec.batch();
        int T = spec.context();
        return switch (spec.kind()) {
            case TRAINING_STEP -> new PyTorchTrainingStep(config, B, T, precision);
            case ATTENTION ->
                new PyTorchAttention(AttentionData.random(B, T, config.heads(), config.headSize()), precision);
            case CROSS_ENTROPY ->
                new PyTorchCrossEntropy(CrossEntropyData.random(B * T, config.vocabularySize()), precision);
            case SOFTMAX -> new PyTorchSoftmax(CrossEntropyData.random(B * T, config.vocabularySize()), precision);
            case LINEAR ->
                new PyTorchLinear(
                        LinearData.random(B * T, config.channels(), Math.toIntExact(config.hiddenChannels())),
                        precision);
            case DECODE -> new PyTorchDecoding(config, B, T, precision);
        };
    }
}
