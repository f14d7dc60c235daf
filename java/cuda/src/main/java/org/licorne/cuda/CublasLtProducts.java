package org.licorne.cuda;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cublas.cublasLtMatmulAlgo_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulDescOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulHeuristicResult_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulPreferenceOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatrixLayoutOpaque_t;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.licorne.tensor.DType;

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
 * does not cut up the sum: its tiles and the order of each sum depend on weight's shape only. Closed by the backend;
 * one call at a time.
 */
final class CublasLtProducts implements MatrixProducts, PlanCache.Planner<CublasLtProducts.Plan> {
    static final long INDEPENDENT_ROWS = 64;

    /** What NVIDIA recommends for Hopper. */
    private static final long WORKSPACE_BYTES = 32L << 20;

    private static final int PROPOSALS = 8;
    private static final int TIMED_RUNS = 3;

    /** A product's description and the algorithm that computes it. */
    static final class Plan {
        private final cublasLtMatmulDescOpaque_t operation;
        private final cublasLtMatrixLayoutOpaque_t first;
        private final cublasLtMatrixLayoutOpaque_t second;
        private final cublasLtMatrixLayoutOpaque_t result;
        private final boolean bias;
        private cublasLtMatmulHeuristicResult_t proposals; // owns the algorithm's memory
        private cublasLtMatmulAlgo_t algorithm;

        private Plan(
                cublasLtMatmulDescOpaque_t operation,
                cublasLtMatrixLayoutOpaque_t first,
                cublasLtMatrixLayoutOpaque_t second,
                cublasLtMatrixLayoutOpaque_t result,
                ProductShape shape) {
            this.operation = operation;
            this.first = first;
            this.second = second;
            this.result = result;
            this.bias = shape.bias();
        }

        private Plan using(cublasLtMatmulHeuristicResult_t all, cublasLtMatmulAlgo_t chosen) {
            proposals = all;
            algorithm = chosen;
            return this;
        }
    }

    private final PresetRuntime runtime;
    private final cublasLtContext handle = new cublasLtContext();
    private final PlanCache<Plan> plans;
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

    private static void check(int status, String call) {
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
        Plan plan = plans.get(ProductShape.Kind.FORWARD, type, bias != 0, alignment, N, C, OC);
        run(plan, weight, x, out, bias, false);
    }

    @Override
    public void backwardInput(long dx, long dout, long weight, long N, long C, long OC, DType type) {
        int alignment = ProductShape.alignment(dx, dout, weight, 0, C * type.bytes(), OC * type.bytes());
        Plan plan = plans.get(ProductShape.Kind.BACKWARD_INPUT, type, false, alignment, N, C, OC);
        run(plan, weight, dout, dx, 0, false);
    }

    @Override
    public void backwardWeight(
            long dweight, long dout, long x, long N, long C, long OC, DType type, boolean accumulate) {
        int alignment = ProductShape.alignment(dweight, dout, x, 0, C * type.bytes(), OC * type.bytes());
        Plan plan = plans.get(ProductShape.Kind.BACKWARD_WEIGHT, type, false, alignment, N, C, OC);
        run(plan, x, dout, dweight, 0, accumulate);
    }

    @Override
    public long independentRows() {
        return INDEPENDENT_ROWS;
    }

    private void run(Plan plan, long first, long second, long result, long bias, boolean accumulate) {
        if (plan.bias) {
            biasAddress.put(bias);
            set(plan.operation, cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER, biasAddress);
        }
        Pointer output = resultAddress.at(result);
        check(
                cublas.cublasLtMatmul(
                        handle,
                        plan.operation,
                        one,
                        firstAddress.at(first),
                        plan.first,
                        secondAddress.at(second),
                        plan.second,
                        accumulate ? one : zero,
                        output,
                        plan.result,
                        output,
                        plan.result,
                        plan.algorithm,
                        workspaceAddress.at(workspace),
                        WORKSPACE_BYTES,
                        runtime.streamPointer()),
                "cublasLtMatmul");
    }

    // ---- making plans -----------------------------------------------------------------------------------------

    @Override
    public List<Plan> propose(ProductShape shape) {
        Plan described = describe(shape);
        try (cublasLtMatmulPreferenceOpaque_t preference = preference(shape)) {
            cublasLtMatmulHeuristicResult_t proposals = new cublasLtMatmulHeuristicResult_t(PROPOSALS);
            int[] count = new int[1];
            int status = cublas.cublasLtMatmulAlgoGetHeuristic(
                    handle,
                    described.operation,
                    described.first,
                    described.second,
                    described.result,
                    described.result,
                    preference,
                    PROPOSALS,
                    proposals,
                    count);
            if (status != cublas.CUBLAS_STATUS_NOT_SUPPORTED) {
                check(status, "cublasLtMatmulAlgoGetHeuristic");
            }
            List<Plan> plans = new ArrayList<>();
            for (int i = 0; i < count[0]; i++) {
                cublasLtMatmulHeuristicResult_t proposal = proposals.getPointer(i);
                if (proposal.state() == cublas.CUBLAS_STATUS_SUCCESS && holdsForFewerRows(shape, proposal.algo())) {
                    plans.add(describe(shape).using(proposals, proposal.algo()));
                }
            }
            if (plans.isEmpty()) {
                throw new UnsupportedOperationException("cuBLASLt has no algorithm for the product " + shape);
            }
            return plans;
        } finally {
            discard(described);
        }
    }

    /** Whether an algorithm that is to serve any smaller number of rows does. */
    private boolean holdsForFewerRows(ProductShape shape, cublasLtMatmulAlgo_t algorithm) {
        if (shape.kind() != ProductShape.Kind.FORWARD || shape.N() != INDEPENDENT_ROWS) {
            return true;
        }
        for (long rows = 1; rows < INDEPENDENT_ROWS; rows++) {
            Plan fewer = describe(shape.withRows(rows));
            try {
                if (!accepts(fewer, algorithm)) {
                    return false;
                }
            } finally {
                discard(fewer);
            }
        }
        return true;
    }

    private boolean accepts(Plan plan, cublasLtMatmulAlgo_t algorithm) {
        try (cublasLtMatmulHeuristicResult_t result = new cublasLtMatmulHeuristicResult_t(1)) {
            int status = cublas.cublasLtMatmulAlgoCheck(
                    handle, plan.operation, plan.first, plan.second, plan.result, plan.result, algorithm, result);
            return status == cublas.CUBLAS_STATUS_SUCCESS && result.workspaceSize() <= WORKSPACE_BYTES;
        }
    }

    @Override
    public Plan withRows(Plan plan, ProductShape shape) {
        return describe(shape).using(plan.proposals, plan.algorithm);
    }

    @Override
    public double milliseconds(Plan plan, ProductShape shape) {
        if (runtime.isCapturing()) {
            return -1;
        }
        DType type = shape.type();
        long resultBytes = shape.resultElements() * shape.resultType().bytes();
        long weightBytes = shape.OC() * shape.C() * type.bytes();
        long xBytes = shape.N() * shape.C() * type.bytes();
        long doutBytes = shape.N() * shape.OC() * type.bytes();
        long firstBytes = shape.kind() == ProductShape.Kind.BACKWARD_WEIGHT ? xBytes : weightBytes;
        long secondBytes = shape.kind() == ProductShape.Kind.FORWARD ? xBytes : doutBytes;
        long result = scratch(resultBytes);
        long first = scratch(firstBytes);
        long second = scratch(secondBytes);
        long bias = shape.bias() ? scratch(shape.OC() * type.bytes()) : 0;
        try (CudaRuntime.Event begin = runtime.event();
                CudaRuntime.Event end = runtime.event()) {
            if (result == 0 || first == 0 || second == 0 || shape.bias() && bias == 0) {
                return -1; // no room to try
            }
            double least = Double.POSITIVE_INFINITY;
            for (int i = 0; i <= TIMED_RUNS; i++) {
                begin.record();
                run(plan, first, second, result, bias, false);
                end.record();
                end.await();
                if (i > 0) { // the first run loads the kernel
                    least = Math.min(least, end.millisecondsSince(begin));
                }
            }
            return least;
        } finally {
            for (long address : new long[] {result, first, second, bias}) {
                if (address != 0) {
                    runtime.free(address);
                }
            }
        }
    }

    private long scratch(long bytes) {
        long address = runtime.allocate(bytes);
        if (address != 0) {
            runtime.zero(address, bytes);
        }
        return address;
    }

    private Plan describe(ProductShape shape) {
        boolean forward = shape.kind() == ProductShape.Kind.FORWARD;
        boolean backwardWeight = shape.kind() == ProductShape.Kind.BACKWARD_WEIGHT;
        int type = type(shape.type());
        cublasLtMatmulDescOpaque_t operation;
        try (PointerPointer<Pointer> made = new PointerPointer<>(1)) {
            check(
                    cublas.cublasLtMatmulDescCreate(made, cublas.CUBLAS_COMPUTE_32F, cudart.CUDA_R_32F),
                    "cublasLtMatmulDescCreate");
            operation = new cublasLtMatmulDescOpaque_t(made.get(0));
        }
        set(operation, cublas.CUBLASLT_MATMUL_DESC_TRANSA, forward ? cublas.CUBLAS_OP_T : cublas.CUBLAS_OP_N);
        set(operation, cublas.CUBLASLT_MATMUL_DESC_TRANSB, backwardWeight ? cublas.CUBLAS_OP_T : cublas.CUBLAS_OP_N);
        if (shape.bias()) {
            set(operation, cublas.CUBLASLT_MATMUL_DESC_EPILOGUE, cublas.CUBLASLT_EPILOGUE_BIAS);
            set(operation, cublas.CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
        }
        long N = shape.N();
        long C = shape.C();
        long OC = shape.OC();
        return switch (shape.kind()) {
            case FORWARD -> new Plan(operation, layout(type, C, OC), layout(type, C, N), layout(type, OC, N), shape);
            case BACKWARD_INPUT ->
                new Plan(operation, layout(type, C, OC), layout(type, OC, N), layout(type, C, N), shape);
            case BACKWARD_WEIGHT ->
                new Plan(operation, layout(type, C, N), layout(type, OC, N), layout(cudart.CUDA_R_32F, C, OC), shape);
        };
    }

    private static int type(DType type) {
        return switch (type) {
            case F32 -> cudart.CUDA_R_32F;
            case BF16 -> cudart.CUDA_R_16BF;
            default -> throw new IllegalArgumentException("products have factors in F32 or BF16, not in " + type);
        };
    }

    /** A matrix of so many rows and columns, column after column. */
    private static cublasLtMatrixLayoutOpaque_t layout(int type, long rows, long columns) {
        try (PointerPointer<Pointer> made = new PointerPointer<>(1)) {
            check(cublas.cublasLtMatrixLayoutCreate(made, type, rows, columns, rows), "cublasLtMatrixLayoutCreate");
            return new cublasLtMatrixLayoutOpaque_t(made.get(0));
        }
    }

    private static cublasLtMatmulPreferenceOpaque_t preference(ProductShape shape) {
        cublasLtMatmulPreferenceOpaque_t preference = new cublasLtMatmulPreferenceOpaque_t();
        check(cublas.cublasLtMatmulPreferenceInit(preference), "cublasLtMatmulPreferenceInit");
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
        for (int operand : new int[] {
            cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
        }) {
            set(preference, operand, shape.alignment());
        }
        return preference;
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

    private static void set(cublasLtMatmulDescOpaque_t operation, int attribute, int value) {
        try (IntPointer pointer = new IntPointer(1)) {
            pointer.put(value);
            check(
                    cublas.cublasLtMatmulDescSetAttribute(operation, attribute, pointer, Integer.BYTES),
                    "cublasLtMatmulDescSetAttribute");
        }
    }

    private static void set(cublasLtMatmulDescOpaque_t operation, int attribute, LongPointer value) {
        check(
                cublas.cublasLtMatmulDescSetAttribute(operation, attribute, value, Long.BYTES),
                "cublasLtMatmulDescSetAttribute");
    }

    @Override
    public void discard(Plan plan) {
        cublas.cublasLtMatrixLayoutDestroy(plan.first);
        cublas.cublasLtMatrixLayoutDestroy(plan.second);
        cublas.cublasLtMatrixLayoutDestroy(plan.result);
        cublas.cublasLtMatmulDescDestroy(plan.operation);
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
