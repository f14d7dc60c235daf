package org.licorne.backend;

import static org.licorne.backend.TensorChecks.apart;
import static org.licorne.backend.TensorChecks.bothOrNone;
import static org.licorne.backend.TensorChecks.failure;
import static org.licorne.backend.TensorChecks.sameOrApart;
import static org.licorne.backend.TensorChecks.shape;
import static org.licorne.backend.TensorChecks.size;

import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** What layer_norm and rms_norm have in common for {@link KernelChecks}. Allocates nothing unless a check fails. */
final class NormChecks {
    private NormChecks() {}

    static void forward(
            String op,
            DType activations,
            Tensor out,
            Tensor sum,
            Tensor rstd,
            Tensor x,
            Tensor residual,
            Tensor gamma,
            long N,
            long C,
            float epsilon) {
        size(op, "N", N);
        size(op, "C", C);
        shape(op, "out", out, activations, "N,C", N, C);
        shape(op, "rstd", rstd, DType.F32, "N", N);
        shape(op, "x", x, activations, "N,C", N, C);
        shape(op, "gamma", gamma, activations, "C", C);
        bothOrNone(op, "sum", sum, "residual", residual);
        if (residual != null) {
            shape(op, "sum", sum, activations, "N,C", N, C);
            shape(op, "residual", residual, activations, "N,C", N, C);
            sameOrApart(op, "sum", sum, "x", x);
            sameOrApart(op, "sum", sum, "residual", residual);
            apart(op, "out", out, "sum", sum);
            apart(op, "out", out, "residual", residual);
        }
        apart(op, "out", out, "x", x);
        if (!(epsilon >= 0)) {
            throw failure(op, "epsilon = " + epsilon + " is negative or not a number");
        }
    }

    static void backward(
            String op,
            DType activations,
            Tensor dx,
            Tensor dgamma,
            Tensor dout,
            Tensor x,
            Tensor gamma,
            Tensor rstd,
            Tensor dresidual,
            long N,
            long C) {
        size(op, "N", N);
        size(op, "C", C);
        shape(op, "dx", dx, activations, "N,C", N, C);
        shape(op, "dgamma", dgamma, DType.F32, "C", C);
        shape(op, "dout", dout, activations, "N,C", N, C);
        shape(op, "x", x, activations, "N,C", N, C);
        shape(op, "gamma", gamma, activations, "C", C);
        shape(op, "rstd", rstd, DType.F32, "N", N);
        if (dresidual != null) {
            shape(op, "dresidual", dresidual, activations, "N,C", N, C);
            sameOrApart(op, "dx", dx, "dresidual", dresidual);
        }
        sameOrApart(op, "dx", dx, "dout", dout);
        apart(op, "dx", dx, "x", x);
        apart(op, "dgamma", dgamma, "gamma", gamma);
    }
}
