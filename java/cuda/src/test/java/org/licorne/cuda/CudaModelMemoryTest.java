package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.checkpoint.ModelDirectory;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.GptSize;
import org.licorne.model.MemoryNeeds;
import org.licorne.model.Quantization;
import org.licorne.tensor.DType;
import org.licorne.train.BatchSource;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingMemory;

/** A model larger than the device is refused before anything is allocated, and what is foreseen is what is taken. */
@DisabledIfSystemProperty(named = "licorne.require", matches = "cuda", disabledReason = "the kernels are a GPU's")
class CudaModelMemoryTest {
    private static final long TOTAL = 16L << 20;
    private static final GptConfig SMALL = new GptConfig(67, 24, 24, 2, 3);
    private static final GptConfig LARGE = new GptConfig(9000, 24, 512, 1, 8); // 31 MB

    @TempDir
    Path folder;

    private final HostRuntime runtime = new HostRuntime(TOTAL);
    private final CudaBackend backend = new CudaBackend(runtime, new PlainProducts());

    private long own; // what the backend has taken by itself

    @AfterEach
    void close() {
        assertThat(backend.availableBytes()).as("without models").isEqualTo(TOTAL - own);
        backend.close();
    }

    private void refuses(Runnable use, String what) {
        int blocks = runtime.openBlocks();
        long free = backend.availableBytes();
        assertThatThrownBy(use::run)
                .isInstanceOfSatisfying(OutOfDeviceMemoryException.class, e -> {
                    assertThat(e.freeBytes()).isEqualTo(free);
                    assertThat(e.requestedBytes()).isGreaterThan(free);
                })
                .hasMessageMatching(what + " needs [0-9,]+ MiB, but only " + (free >> 20) + " MiB are free; .*");
        assertThat(runtime.openBlocks()).isEqualTo(blocks);
    }

    @Test
    void trainingWhatDoesNotFitIsRefused() {
        TrainerConfig config = TrainerConfig.builder().steps(1).batchSize(4).build();
        GptConfig gpt2 = GptSize.named("gpt2").config();
        refuses(
                () -> TrainingMemory.require(backend, gpt2, config),
                "training with a batch of 4 sequences of 1024 tokens");
        TrainerConfig wide = TrainerConfig.builder().steps(1).batchSize(1 << 10).build();
        try (Gpt gpt = Gpt.initialise(backend, SMALL, 1).computeIn(Precision.BF16)) {
            refuses(
                    () -> new Trainer(gpt, new Zeros(), null, wide).close(),
                    "training with a batch of 1024 sequences of 24 tokens");
        }
    }

    @Test
    void aModelThatDoesNotFitIsRefused() {
        try (Backend reference = Backends.open("reference");
                Gpt gpt = Gpt.initialise(reference, LARGE, 1)) {
            ModelDirectory.save(gpt, null, folder.resolve("large"));
        }
        refuses(
                () -> ModelDirectory.load(backend, folder.resolve("large")).close(),
                "a model of 7,[0-9,]+ weights in F32");
    }

    @Test
    void aCopyOrTextsThatDoNotFitAreRefused() {
        GptConfig half = new GptConfig(9000, 256, 256, 1, 8); // 13 MB
        try (Gpt gpt = Gpt.empty(backend, half)) {
            refuses(() -> gpt.computeIn(Precision.BF16), "a copy of the weights in BF16");
            assertThat(gpt.precision()).isEqualTo(Precision.F32);
            refuses(() -> gpt.decodingPass(20, 200).close(), "writing 20 texts of up to 200 tokens");
        }
    }

    @Test
    void trainingTakesWhatWasForeseen() {
        TrainerConfig config = TrainerConfig.builder().batchSize(3).steps(2).build();
        long before = backend.availableBytes();
        try (Gpt gpt = Gpt.initialise(backend, SMALL, 1);
                Trainer trainer = new Trainer(gpt, new Zeros(), null, config)) {
            trainer.run();
            long taken = before - backend.availableBytes();
            long needed = MemoryNeeds.toTrain(
                            SMALL, backend.kernels(Precision.BF16), 3, 24, config.logitsBytes(), config.recomputation())
                    .total();
            assertThat(taken).isBetween(needed, needed + 4096); // plus the norm and its workspace
        }
        own = before - backend.availableBytes();
        assertThat(own).isPositive();
    }

    @Test
    void writingTakesWhatWasForeseen() {
        for (DType weights : new DType[] {DType.F32, DType.BF16, DType.Q8, DType.Q4}) {
            for (Precision precision : Precision.values()) {
                long before = backend.availableBytes();
                Gpt made = Gpt.initialise(backend, SMALL, 1);
                try (Gpt gpt = (weights == DType.F32 ? made : Quantization.to(weights, made)).computeIn(precision);
                        DecodingPass pass = gpt.decodingPass(5, 20)) {
                    assertThat(before - backend.availableBytes())
                            .as("%s, %s", weights, precision)
                            .isEqualTo(MemoryNeeds.toRun(
                                            SMALL, weights, backend.kernels(precision), 5, 20, pass.cacheType())
                                    .total());
                }
            }
        }
    }

    /** The same token again and again. */
    private static final class Zeros implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            // they are zeros
        }

        @Override
        public long tokens() {
            return 1000;
        }

        @Override
        public String fingerprint() {
            return "zeros";
        }
    }
}
