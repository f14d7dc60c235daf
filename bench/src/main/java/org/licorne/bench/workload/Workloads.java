package org.licorne.bench.workload;

import java.util.ServiceLoader;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorch;
import org.licorne.model.GptConfig;
import org.licorne.model.GptSize;

/** Opens what a {@link WorkloadSpec} describes. */
public final class Workloads {
    private Workloads() {}

    /** Opens the work on PyTorch, or on a backend that is closed with it. */
    public static Workload open(WorkloadSpec spec) {
        if (spec.runsOnPyTorch()) {
            if (PyTorch.unavailableReason() != null) {
                throw new UnsupportedOperationException(PyTorch.unavailableReason());
            }
            return onPyTorch(spec, config(spec));
        }
        if (spec.engine().equals(WorkloadSpec.JAVA_VECTOR)) {
            return onRival(spec, config(spec));
        }
        Backend backend = Backends.open(spec.engine());
        try {
            return new OwningWorkload(onLicorne(spec, config(spec), backend), backend);
        } catch (RuntimeException e) {
            backend.close();
            throw e;
        }
    }

    /** The model whose shapes the work has; its context is stretched where the work asks for more. */
    public static GptConfig config(WorkloadSpec spec) {
        GptConfig config = GptSize.named(spec.size()).config();
        return spec.context() > config.contextLength() ? config.withContextLength(spec.context()) : config;
    }

    /** Opens the work on a backend that stays the caller's. */
    public static Workload onLicorne(WorkloadSpec spec, GptConfig config, Backend backend) {
        Backend chosen = ChosenPrecision.of(backend, spec.precision());
        int B = spec.batch();
        int T = spec.context();
        return switch (spec.kind()) {
            case TRAINING_STEP -> new LicorneTrainingStep(chosen, config, B, T);
            case ATTENTION -> new LicorneAttention(
                    chosen, AttentionData.random(B, T, config.heads(), config.headSize()));
            case CROSS_ENTROPY -> new LicorneCrossEntropy(
                    chosen, CrossEntropyData.random(B * T, config.vocabularySize()));
            case DECODE -> new LicorneDecoding(chosen, config, B, T, spec.precision());
        };
    }

    private static Workload onRival(WorkloadSpec spec, GptConfig config) {
        if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
            throw new UnsupportedOperationException(
                    spec.engine() + " needs a JVM started with --add-modules jdk.incubator.vector");
        }
        if (!spec.precision().equals("fp32")) {
            throw new UnsupportedOperationException(spec.engine() + " computes in fp32, not in " + spec.precision());
        }
        RivalProvider rival = ServiceLoader.load(RivalProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.engine().equals(spec.engine()))
                .findFirst()
                .orElseThrow(() -> new IllegalStateException(spec.engine() + " was not built"));
        return switch (spec.kind()) {
            case ATTENTION -> rival.attention(
                    AttentionData.random(spec.batch(), spec.context(), config.heads(), config.headSize()));
            case CROSS_ENTROPY -> rival.crossEntropy(
                    CrossEntropyData.random(spec.batch() * spec.context(), config.vocabularySize()));
            default -> throw new UnsupportedOperationException(spec.engine() + " has no " + spec.kind());
        };
    }

    private static Workload onPyTorch(WorkloadSpec spec, GptConfig config) {
        Precision precision = spec.precision().equals("bf16") ? Precision.BF16 : Precision.FP32;
        int B = spec.batch();
        int T = spec.context();
        return switch (spec.kind()) {
            case TRAINING_STEP -> new PyTorchTrainingStep(config, B, T, precision);
            case ATTENTION -> new PyTorchAttention(
                    AttentionData.random(B, T, config.heads(), config.headSize()), precision);
            case CROSS_ENTROPY -> new PyTorchCrossEntropy(
                    CrossEntropyData.random(B * T, config.vocabularySize()), precision);
            case DECODE -> new PyTorchDecoding(config, B, T, precision);
        };
    }
}
