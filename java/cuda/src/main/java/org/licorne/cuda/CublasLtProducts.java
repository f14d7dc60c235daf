package org.licorne.cuda;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cublas.cublasLtMatmulAlgo_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulHeuristicResult_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulPreferenceOpaque_t;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.licorne.tensor.DType;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Products by cuBLASLt. Its matrices are column-major, so a row-major (R,S) matrix is for it the (S,R) matrix with
 * columns of S elements, and each product is computed transposed:
 *
 * <pre>
 *   out = x · weightᵀ + bias     outᵀ (OC,N) = [weightᵀ (C,OC)]ᵀ · xᵀ (C,N)       bias along the rows of outᵀ
 *   dx = dout · weight           dxᵀ (C,N) = weightᵀ (C,OC) · doutᵀ (OC,N)
 *   dweight += doutᵀ · x         dweightᵀ (C,OC) += xᵀ (C,N) · [doutᵀ (OC,N)]ᵀ     or = instead of +=
 * </pre>
 *
 * Sums are F32 and never TF32. For the same bits in each row whatever the others are, a forward product of up to
 * {@value #INDEPENDENT_ROWS} rows is always computed by the algorithm chosen for {@value #INDEPENDENT_ROWS}, one that
 * does not cut up the sum: its tiles and the order of each sum depend on weight's shape only. Where cuBLASLt has no
 * algorithm that adds a bias, it is written into each row of {@code out} first and the product is added to it, which
 * rounds each element once, as the other way does. Closed by the backend; one call at a time.
 */
final class CublasLtProducts implements MatrixProducts, PlanCache.Planner<CublasLtPlan> {
    static final long INDEPENDENT_ROWS = 64;

    /** What NVIDIA recommends for Hopper. */
    private static final long WORKSPACE_BYTES = 32L << 20;

    /** How many algorithms each attempt asks for; the last one does without the epilogue that adds the bias. */
    private static final int[] PROPOSALS = {8, 64, 64};

    private static final Logger LOG = LoggerFactory.getLogger(CublasLtProducts.class);

    private final PresetRuntime runtime;
    private final cublasLtContext handle = new cublasLtContext();
    private final PlanCache<CublasLtPlan> plans;
    private final long workspace;
    private final FloatPointer one = new FloatPointer(1f);
    private final FloatPointer zero = new FloatPointer(0f);
    private final LongPointer biasAddress = new LongPointer(1);
    private final PresetRuntime.Address firstAddress = new PresetRuntime.Address();
    private final PresetRuntime.Address secondAddress = new PresetRuntime.Address();
    private final PresetRuntime.Address resultAddress = new PresetRuntime.Address();
    private final PresetRuntime.Address workspaceAddress = new PresetRuntime.Address();
    private boolean closed;

    CublasLtProducts(PresetRuntime runtime) {
        this.runtime = runtime;
        runtime.makeCurrent();
        check(cublas.cublasLtCreate(handle), "cublasLtCreate");
        workspace = runtime.allocate(WORKSPACE_BYTES);
        if (workspace == 0) {
            cublas.cublasLtDestroy(handle);
            throw new DeviceFailure(
                    cudart.cudaErrorMemoryAllocation,
                    "the GPU has not even " + (WORKSPACE_BYTES >> 20) + " MiB free for cuBLASLt's workspace");
        }
        plans = new PlanCache<>(
                this,
                PlanChoices.of(runtime.deviceName() + "-cublaslt-" + cublas.cublasLtGetVersion()),
                INDEPENDENT_ROWS);
    }

    /** @throws DeviceFailure unless the call succeeded; with the status as a negative code if it is cuBLASLt's */
    static void check(int status, String call) {
        if (status != cublas.CUBLAS_STATUS_SUCCESS) {
            PresetRuntime.check(cudart.cudaGetLastError(), call); // a kernel's fault is told as what it is
            throw new DeviceFailure(
                    -status,
                    call + ": " + cublas.cublasLtGetStatusString(status).getString());
        }
    }

    @Override
    public void forward(long out, long x, long weight, long bias, long N, long C, long OC, DType type) {
        int alignment = ProductShape.alignment(out, x, weight, bias, C * type.bytes(), OC * type.bytes());
        CublasLtPlan plan = plans.get(ProductShape.Kind.FORWARD, type, bias != 0, alignment, N, C, OC);
        run(plan, weight, x, out, bias, false);
    }

    @Override
    public void backwardInput(long dx, long dout, long weight, long N, long C, long OC, DType type) {
        int alignment = ProductShape.alignment(dx, dout, weight, 0, C * type.bytes(), OC * type.bytes());
        CublasLtPlan plan = plans.get(ProductShape.Kind.BACKWARD_INPUT, type, false, alignment, N, C, OC);
        run(plan, weight, dout, dx, 0, false);
    }

    @Override
    public void backwardWeight(
            long dweight, long dout, long x, long N, long C, long OC, DType type, boolean accumulate) {
        int alignment = ProductShape.alignment(dweight, dout, x, 0, C * type.bytes(), OC * type.bytes());
        CublasLtPlan plan = plans.get(ProductShape.Kind.BACKWARD_WEIGHT, type, false, alignment, N, C, OC);
        run(plan, x, dout, dweight, 0, accumulate);
    }

    @Override
    public long independentRows() {
        return INDEPENDENT_ROWS;
    }

    private void run(CublasLtPlan plan, long first, long second, long result, long bias, boolean accumulate) {
        boolean add = accumulate;
        if (plan.biasInEpilogue()) {
            biasAddress.put(bias);
            plan.setBias(biasAddress);
        } else if (plan.biasApart()) {
            ProductShape shape = plan.shape();
            long rowBytes = shape.OC() * shape.type().bytes();
            runtime.copyOnDevice(result, bias, rowBytes);
            runtime.repeat(result, rowBytes, shape.N() * rowBytes);
            add = true;
        }
        Pointer output = resultAddress.at(result);
        int status = cublas.cublasLtMatmul(
                handle,
                plan.operation(),
                one,
                firstAddress.at(first),
                plan.first(),
                secondAddress.at(second),
                plan.second(),
                add ? one : zero,
                output,
                plan.result(),
                output,
                plan.result(),
                plan.algorithm(),
                workspaceAddress.at(workspace),
                WORKSPACE_BYTES,
                runtime.streamPointer());
        if (status != cublas.CUBLAS_STATUS_SUCCESS) {
            runtime.checkStream();
            check(status, "cublasLtMatmul");
        }
    }

    // ---- making plans -----------------------------------------------------------------------------------------

    @Override
    public int attempts() {
        return PROPOSALS.length;
    }

    @Override
    public List<CublasLtPlan> propose(ProductShape shape, int attempt) {
        boolean biasApart = attempt == PROPOSALS.length - 1;
        List<CublasLtPlan> plans = new ArrayList<>();
        if (biasApart && !shape.bias()) {
            return plans;
        }
        int asked = PROPOSALS[attempt];
        try (CublasLtPlan described = CublasLtPlan.describe(shape, biasApart, workspace);
                cublasLtMatmulHeuristicResult_t proposals = new cublasLtMatmulHeuristicResult_t(asked)) {
            int found = ask(described, asked, proposals);
            for (int i = 0; i < found; i++) {
                cublasLtMatmulHeuristicResult_t proposal = proposals.getPointer(i);
                if (proposal.state() == cublas.CUBLAS_STATUS_SUCCESS
                        && holdsForFewerRows(shape, biasApart, proposal.algo())) {
                    plans.add(CublasLtPlan.describe(shape, biasApart, workspace).using(proposal.algo()));
                }
            }
            return plans;
        } catch (RuntimeException e) {
            plans.forEach(this::discard);
            throw e;
        }
    }

    /** Algorithms for what is described. @return how many there are, 0 where cuBLASLt does not compute such products */
    private int ask(CublasLtPlan described, int asked, cublasLtMatmulHeuristicResult_t proposals) {
        cublasLtMatmulPreferenceOpaque_t preference = preference(described.shape());
        try {
            int[] found = new int[1];
            int status = cublas.cublasLtMatmulAlgoGetHeuristic(
                    handle,
                    described.operation(),
                    described.first(),
                    described.second(),
                    described.result(),
                    described.result(),
                    preference,
                    asked,
                    proposals,
                    found);
            if (status == cublas.CUBLAS_STATUS_NOT_SUPPORTED || status == cublas.CUBLAS_STATUS_INVALID_VALUE) {
                return 0; // versions differ in which of the two they say
            }
            check(status, "cublasLtMatmulAlgoGetHeuristic");
            return found[0];
        } finally {
            cublas.cublasLtMatmulPreferenceDestroy(preference);
        }
    }

    /** Whether an algorithm that is to serve any smaller number of rows does. */
    private boolean holdsForFewerRows(ProductShape shape, boolean biasApart, cublasLtMatmulAlgo_t algorithm) {
        if (shape.kind() != ProductShape.Kind.FORWARD || shape.N() != INDEPENDENT_ROWS) {
            return true;
        }
        for (long rows = 1; rows < INDEPENDENT_ROWS; rows++) {
            try (CublasLtPlan fewer = CublasLtPlan.describe(shape.withRows(rows), biasApart, workspace)) {
                if (!accepts(fewer, algorithm)) {
                    return false;
                }
            }
        }
        return true;
    }

    private boolean accepts(CublasLtPlan plan, cublasLtMatmulAlgo_t algorithm) {
        try (cublasLtMatmulHeuristicResult_t result = new cublasLtMatmulHeuristicResult_t(1)) {
            int status = cublas.cublasLtMatmulAlgoCheck(
                    handle,
                    plan.operation(),
                    plan.first(),
                    plan.second(),
                    plan.result(),
                    plan.result(),
                    algorithm,
                    result);
            return status == cublas.CUBLAS_STATUS_SUCCESS && result.workspaceSize() <= WORKSPACE_BYTES;
        }
    }

    @Override
    public CublasLtPlan withRows(CublasLtPlan plan, ProductShape shape) {
        return CublasLtPlan.describe(shape, plan.biasApart(), workspace).using(plan.algorithm());
    }

    @Override
    public PlanCache.Trial<CublasLtPlan> trial(ProductShape shape) {
        if (runtime.isCapturing()) {
            return null;
        }
        DType type = shape.type();
        long weightBytes = shape.OC() * shape.C() * type.bytes();
        long xBytes = shape.N() * shape.C() * type.bytes();
        long doutBytes = shape.N() * shape.OC() * type.bytes();
        TrialMemory memory = TrialMemory.of(
                runtime,
                type,
                shape.kind() == ProductShape.Kind.BACKWARD_WEIGHT ? xBytes : weightBytes,
                shape.kind() == ProductShape.Kind.FORWARD ? xBytes : doutBytes,
                shape.resultElements() * shape.resultType().bytes(),
                shape.bias() ? shape.OC() * type.bytes() : 0);
        return memory == null ? null : new Trial(memory);
    }

    private final class Trial implements PlanCache.Trial<CublasLtPlan> {
        private final TrialMemory memory;
        private final StreamClock clock;

        Trial(TrialMemory memory) {
            this.memory = memory;
            try {
                clock = new StreamClock(runtime, workspace, WORKSPACE_BYTES);
            } catch (RuntimeException e) {
                memory.close();
                throw e;
            }
        }

        @Override
        public double milliseconds(CublasLtPlan plan) {
            return runs(plan) ? clock.milliseconds(() -> once(plan)) : REFUSED; // running loads the kernel, too
        }

        @Override
        public boolean runs(CublasLtPlan plan) {
            try {
                once(plan);
                return true;
            } catch (DeviceFailure e) {
                if (e.isFatal()) {
                    throw e;
                }
                LOG.debug("{}: an algorithm that was proposed does not run: {}", plan.shape(), e.getMessage());
                return false;
            }
        }

        private void once(CublasLtPlan plan) {
            run(plan, memory.address(0), memory.address(1), memory.address(2), memory.address(3), false);
        }

        @Override
        public void close() {
            try {
                clock.close();
            } finally {
                memory.close();
            }
        }
    }

    private static cublasLtMatmulPreferenceOpaque_t preference(ProductShape shape) {
        cublasLtMatmulPreferenceOpaque_t preference;
        try (PointerPointer<Pointer> made = new PointerPointer<>(1)) {
            check(cublas.cublasLtMatmulPreferenceCreate(made), "cublasLtMatmulPreferenceCreate");
            preference = new cublasLtMatmulPreferenceOpaque_t(made.get(0));
        }
        try {
            prefer(preference, shape);
            return preference;
        } catch (RuntimeException e) {
            cublas.cublasLtMatmulPreferenceDestroy(preference);
            throw e;
        }
    }

    private static void prefer(cublasLtMatmulPreferenceOpaque_t preference, ProductShape shape) {
        try (LongPointer bytes = new LongPointer(1)) {
            bytes.put(WORKSPACE_BYTES);
            set(preference, cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes, Long.BYTES);
        }
        // Parts of a sum are added as F32 also where the result is BF16; where rows must not know of each other there
        // are none.
        boolean independent = shape.kind() == ProductShape.Kind.FORWARD && shape.N() == INDEPENDENT_ROWS;
        set(
                preference,
                cublas.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                independent ? cublas.CUBLASLT_REDUCTION_SCHEME_NONE : cublas.CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
        set(preference, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, shape.alignment());
        set(preference, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, shape.alignment());
        // Rows of BF16 factors may begin at any two bytes, but nothing stores F32 at less than four.
        int ofResult = Math.max(shape.alignment(), shape.resultType().bytes());
        set(preference, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, ofResult);
        set(preference, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, ofResult);
    }

    private static void set(cublasLtMatmulPreferenceOpaque_t preference, int attribute, int value) {
        try (IntPointer pointer = new IntPointer(1)) {
            pointer.put(value);
            set(preference, attribute, pointer, Integer.BYTES);
        }
    }

    private static void set(cublasLtMatmulPreferenceOpaque_t preference, int attribute, Pointer value, long bytes) {
        check(
                cublas.cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes),
                "cublasLtMatmulPreferenceSetAttribute");
    }

    @Override
    public void discard(CublasLtPlan plan) {
        plan.close();
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            plans.discardAll();
            cublas.cublasLtDestroy(handle);
            try {
                runtime.free(workspace);
            } catch (DeviceFailure e) {
                // a device that failed has no memory to give back
            }
        }
    }
}
