package org.licorne.backend;

import static org.licorne.backend.TensorChecks.apart;
import static org.licorne.backend.TensorChecks.bothOrNone;
import static org.licorne.backend.TensorChecks.product;
import static org.licorne.backend.TensorChecks.rows;
import static org.licorne.backend.TensorChecks.shape;
import static org.licorne.backend.TensorChecks.size;
import static org.licorne.backend.TensorChecks.smallMatrix;
import static org.licorne.backend.TensorChecks.workspaceType;

import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** {@link KernelChecks} of the ops that read weights or write their gradients: embeddings and linear maps. */
abstract class WeightChecks {
    final DType activations;

    WeightChecks(DType activations) {
        if (activations != DType.F32 && activations != DType.BF16) {
            throw new IllegalArgumentException("activations are F32 or BF16, not " + activations);
        }
        this.activations = activations;
    }

    // ---- embedding --------------------------------------------------------------------------------------------

    public void embeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C) {
        String op = "embedding_forward";
        size(op, "N", N);
        size(op, "C", C);
        rows(op, "tokenTable", tokenTable, activations, "Vp,C", C);
        embedded(op, out, tokenTable, positionTable, tokens, positions, N, C);
    }

    public void embeddingBackward(
            Tensor dTokenTable, Tensor dPositionTable, Tensor dout, Tensor tokens, Tensor positions, long N, long C) {
        String op = "embedding_backward";
        size(op, "N", N);
        size(op, "C", C);
        rows(op, "dTokenTable", dTokenTable, DType.F32, "Vp,C", C);
        shape(op, "dout", dout, activations, "N,C", N, C);
        shape(op, "tokens", tokens, DType.I32, "N", N);
        bothOrNone(op, "dPositionTable", dPositionTable, "positions", positions);
        if (positions != null) {
            rows(op, "dPositionTable", dPositionTable, DType.F32, "P,C", C);
            shape(op, "positions", positions, DType.I32, "N", N);
            apart(op, "dPositionTable", dPositionTable, "dout", dout);
            apart(op, "dPositionTable", dPositionTable, "dTokenTable", dTokenTable);
        }
        apart(op, "dTokenTable", dTokenTable, "dout", dout);
    }

    // ---- linear -----------------------------------------------------------------------------------------------

    public void linearForward(Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC) {
        String op = "linear_forward";
        linearSizes(op, N, C, OC);
        shape(op, "weight", weight, activations, "OC,C", OC, C);
        mapped(op, out, x, weight, bias, N, C, OC);
    }

    public void linearBackwardInput(Tensor dx, Tensor dout, Tensor weight, long N, long C, long OC) {
        String op = "linear_backward_input";
        linearSizes(op, N, C, OC);
        shape(op, "dx", dx, activations, "N,C", N, C);
        shape(op, "dout", dout, activations, "N,OC", N, OC);
        shape(op, "weight", weight, activations, "OC,C", OC, C);
        apart(op, "dx", dx, "dout", dout);
        apart(op, "dx", dx, "weight", weight);
    }

    public void linearBackwardWeight(
            Tensor dweight, Tensor dbias, Tensor dout, Tensor x, long N, long C, long OC, boolean accumulate) {
        String op = "linear_backward_weight";
        linearSizes(op, N, C, OC);
        shape(op, "dweight", dweight, DType.F32, "OC,C", OC, C);
        shape(op, "dout", dout, activations, "N,OC", N, OC);
        shape(op, "x", x, activations, "N,C", N, C);
        if (dbias != null) {
            shape(op, "dbias", dbias, DType.F32, "OC", OC);
            apart(op, "dbias", dbias, "dweight", dweight);
            apart(op, "dbias", dbias, "dout", dout);
        }
        apart(op, "dweight", dweight, "dout", dout);
        apart(op, "dweight", dweight, "x", x);
    }

    private static void linearSizes(String op, long N, long C, long OC) {
        size(op, "N", N);
        size(op, "C", C);
        size(op, "OC", OC);
    }

    // ---- small weights ----------------------------------------------------------------------------------------

    public void quantize(Tensor out, Tensor x, long OC, long C) {
        String op = "quantize";
        size(op, "OC", OC);
        size(op, "C", C);
        product(op, OC, C);
        smallMatrix(op, "out", out, "OC,C", OC, C);
        shape(op, "x", x, DType.F32, "OC,C", OC, C);
        apart(op, "out", out, "x", x);
    }

    public void quantizedLinearForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor workspace, long N, long C, long OC) {
        String op = "quantized_linear_forward";
        linearSizes(op, N, C, OC);
        smallMatrix(op, "weight", weight, "OC,C", OC, C);
        mapped(op, out, x, weight, bias, N, C, OC);
        workspaceType(op, workspace);
    }

    /** What a linear map is besides its weight. */
    private void mapped(String op, Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC) {
        shape(op, "out", out, activations, "N,OC", N, OC);
        shape(op, "x", x, activations, "N,C", N, C);
        if (bias != null) {
            shape(op, "bias", bias, activations, "OC", OC);
            apart(op, "out", out, "bias", bias);
        }
        apart(op, "out", out, "x", x);
        apart(op, "out", out, "weight", weight);
    }

    public void quantizedEmbeddingForward(
            Tensor out,
            Tensor tokenTable,
            Tensor positionTable,
            Tensor tokens,
            Tensor positions,
            long N,
            long C,
            long Vp) {
        String op = "quantized_embedding_forward";
        size(op, "N", N);
        size(op, "C", C);
        size(op, "Vp", Vp);
        product(op, Vp, C);
        smallMatrix(op, "tokenTable", tokenTable, "Vp,C", Vp, C);
        embedded(op, out, tokenTable, positionTable, tokens, positions, N, C);
    }

    /** What an embedding is besides its table of tokens. */
    private void embedded(
            String op,
            Tensor out,
            Tensor tokenTable,
            Tensor positionTable,
            Tensor tokens,
            Tensor positions,
            long N,
            long C) {
        shape(op, "out", out, activations, "N,C", N, C);
        shape(op, "tokens", tokens, DType.I32, "N", N);
        bothOrNone(op, "positionTable", positionTable, "positions", positions);
        if (positions != null) {
            rows(op, "positionTable", positionTable, activations, "P,C", C);
            shape(op, "positions", positions, DType.I32, "N", N);
            apart(op, "out", out, "positionTable", positionTable);
        }
        apart(op, "out", out, "tokenTable", tokenTable);
    }
}
