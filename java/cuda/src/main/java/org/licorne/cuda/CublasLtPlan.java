package org.licorne.cuda;

import org.bytedeco.cuda.cublas.cublasLtMatmulAlgo_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulDescOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatrixLayoutOpaque_t;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.licorne.tensor.DType;

/** A product's description for cuBLASLt and the algorithm that computes it; owns the memory of both. */
final class CublasLtPlan implements AutoCloseable {
    private final ProductShape shape;
    private final boolean biasApart;
    private cublasLtMatmulDescOpaque_t operation;
    private cublasLtMatrixLayoutOpaque_t first;
    private cublasLtMatrixLayoutOpaque_t second;
    private cublasLtMatrixLayoutOpaque_t result;
    private cublasLtMatmulAlgo_t algorithm;

    private CublasLtPlan(ProductShape shape, boolean biasApart) {
        this.shape = shape;
        this.biasApart = biasApart && shape.bias();
    }

    /**
     * A description without an algorithm.
     *
     * @param biasApart whether a bias lies in the result beforehand, and the product is added to it
     * @param aligned any address that is a multiple of 16, to stand for the bias until its address is known: some
     *     versions look at it when they are asked for algorithms
     */
    static CublasLtPlan describe(ProductShape shape, boolean biasApart, long aligned) {
        CublasLtPlan plan = new CublasLtPlan(shape, biasApart);
        try {
            plan.describe(aligned);
            return plan;
        } catch (RuntimeException e) {
            plan.close();
            throw e;
        }
    }

    private void describe(long aligned) {
        boolean forward = shape.kind() == ProductShape.Kind.FORWARD;
        boolean backwardWeight = shape.kind() == ProductShape.Kind.BACKWARD_WEIGHT;
        int type = type(shape.type());
        try (PointerPointer<Pointer> made = new PointerPointer<>(1)) {
            CublasLtProducts.check(
                    cublas.cublasLtMatmulDescCreate(made, cublas.CUBLAS_COMPUTE_32F, cudart.CUDA_R_32F),
                    "cublasLtMatmulDescCreate");
            operation = new cublasLtMatmulDescOpaque_t(made.get(0));
        }
        set(cublas.CUBLASLT_MATMUL_DESC_TRANSA, forward ? cublas.CUBLAS_OP_T : cublas.CUBLAS_OP_N);
        set(cublas.CUBLASLT_MATMUL_DESC_TRANSB, backwardWeight ? cublas.CUBLAS_OP_T : cublas.CUBLAS_OP_N);
        if (biasInEpilogue()) {
            set(cublas.CUBLASLT_MATMUL_DESC_EPILOGUE, cublas.CUBLASLT_EPILOGUE_BIAS);
            set(cublas.CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
            try (LongPointer address = new LongPointer(1)) {
                // aligned as the bias will be, no better
                address.put(shape.alignment() < 16 ? aligned + shape.alignment() : aligned);
                setBias(address);
            }
        }
        long N = shape.N();
        long C = shape.C();
        long OC = shape.OC();
        switch (shape.kind()) {
            case FORWARD -> {
                first = layout(type, C, OC);
                second = layout(type, C, N);
                result = layout(type, OC, N);
            }
            case BACKWARD_INPUT -> {
                first = layout(type, C, OC);
                second = layout(type, OC, N);
                result = layout(type, C, N);
            }
            case BACKWARD_WEIGHT -> {
                first = layout(type, C, N);
                second = layout(type, OC, N);
                result = layout(cudart.CUDA_R_32F, C, OC);
            }
        }
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
            CublasLtProducts.check(
                    cublas.cublasLtMatrixLayoutCreate(made, type, rows, columns, rows), "cublasLtMatrixLayoutCreate");
            return new cublasLtMatrixLayoutOpaque_t(made.get(0));
        }
    }

    private void set(int attribute, int value) {
        try (IntPointer pointer = new IntPointer(1)) {
            pointer.put(value);
            set(attribute, pointer, Integer.BYTES);
        }
    }

    /** @param address memory that holds the bias's address */
    void setBias(LongPointer address) {
        set(cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER, address, Long.BYTES);
    }

    private void set(int attribute, Pointer value, long bytes) {
        CublasLtProducts.check(
                cublas.cublasLtMatmulDescSetAttribute(operation, attribute, value, bytes),
                "cublasLtMatmulDescSetAttribute");
    }

    /** Takes a copy of the algorithm. */
    CublasLtPlan using(cublasLtMatmulAlgo_t chosen) {
        algorithm = new cublasLtMatmulAlgo_t();
        Pointer.memcpy(algorithm, chosen, algorithm.sizeof());
        return this;
    }

    ProductShape shape() {
        return shape;
    }

    /** Whether the product is added to the bias, which lies in each row of the result beforehand. */
    boolean biasApart() {
        return biasApart;
    }

    boolean biasInEpilogue() {
        return shape.bias() && !biasApart;
    }

    cublasLtMatmulDescOpaque_t operation() {
        return operation;
    }

    cublasLtMatrixLayoutOpaque_t first() {
        return first;
    }

    cublasLtMatrixLayoutOpaque_t second() {
        return second;
    }

    cublasLtMatrixLayoutOpaque_t result() {
        return result;
    }

    cublasLtMatmulAlgo_t algorithm() {
        return algorithm;
    }

    @Override
    public void close() {
        for (cublasLtMatrixLayoutOpaque_t layout : new cublasLtMatrixLayoutOpaque_t[] {first, second, result}) {
            if (layout != null) {
                cublas.cublasLtMatrixLayoutDestroy(layout);
            }
        }
        if (operation != null) {
            cublas.cublasLtMatmulDescDestroy(operation);
        }
        if (algorithm != null) {
            algorithm.close();
        }
        first = null;
        second = null;
        result = null;
        operation = null;
        algorithm = null;
    }
}
