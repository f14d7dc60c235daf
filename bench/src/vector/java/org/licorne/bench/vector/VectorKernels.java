package org.licorne.bench.vector;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.util.Set;
import java.util.concurrent.ForkJoinPool;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Mask;
import org.licorne.tensor.Tensor;

/**
 * What stands behind the interface {@link org.licorne.backend.Kernels} here: the few ops that a rival in Java is
 * written for, by their names, each on all threads of one pool, and the copy that puts their data back. All others are
 * refused.
 */
final class VectorKernels implements InvocationHandler {
    /** The ops, as the testkit's cases call them. */
    static final Set<String> OPS = Set.of(
            "softmax_forward",
            "softmax_backward",
            "cross_entropy_forward",
            "cross_entropy_backward",
            "linear_forward",
            "linear_backward_input",
            "linear_backward_weight",
            "attention_forward",
            "attention_backward");

    private final String backend;
    private final ForkJoinPool pool;

    VectorKernels(String backend, ForkJoinPool pool) {
        this.backend = backend;
        this.pool = pool;
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        if (method.isDefault()) {
            return InvocationHandler.invokeDefault(proxy, method, arguments);
        }
        if (method.getName().endsWith("WorkspaceBytes")) {
            return 0L;
        }
        Runnable op = bind(method.getName(), new Arguments(arguments));
        pool.submit(op).join(); // parallel streams stay in the pool that they are begun in
        return null;
    }

    /** An op's arguments by place, as the contract orders them. */
    private record Arguments(Object[] all) {
        Tensor tensor(int place) {
            return (Tensor) all[place];
        }

        FloatSlice slice(int place) {
            return FloatSlice.ofNullable(tensor(place));
        }

        int size(int place) {
            return Math.toIntExact((long) all[place]);
        }

        float number(int place) {
            return (float) all[place];
        }
    }

    private Runnable bind(String op, Arguments a) {
        return switch (op) {
            case "copy" -> () -> a.slice(1).copyTo(a.slice(0), (int) a.tensor(0).elements());
            case "softmaxForward" -> () ->
                    VectorSoftmax.forward(a.slice(0), a.slice(1), a.size(2), a.size(3), a.size(4));
            case "softmaxBackward" -> () ->
                    VectorSoftmax.backward(a.slice(0), a.slice(1), a.slice(2), a.size(3), a.size(4), a.size(5));
            case "crossEntropyForward" -> {
                requirePlain(a.number(6), a.number(7));
                yield () -> VectorSoftmax.losses(
                        a.slice(0), a.slice(1), a.tensor(2).toInts(), a.size(3), a.size(4), a.size(5));
            }
            case "crossEntropyBackward" -> {
                requirePlain(a.number(8), a.number(9));
                yield () -> VectorSoftmax.lossesAndGradient(
                        a.slice(0), a.slice(1), a.slice(2), a.tensor(3).toInts(), a.size(4), a.size(5), a.size(6),
                        a.number(7));
            }
            case "linearForward" -> () -> VectorLinear.forward(
                    a.slice(0), a.slice(1), a.slice(2), a.slice(3), a.size(4), a.size(5), a.size(6));
            case "linearBackwardInput" -> () -> VectorLinear.backwardInput(
                    a.slice(0), a.slice(1), a.slice(2), a.size(3), a.size(4), a.size(5));
            case "linearBackwardWeight" -> () -> VectorLinear.backwardWeight(
                    a.slice(0), a.slice(1), a.slice(2), a.slice(3), a.size(4), a.size(5), a.size(6),
                    (boolean) a.all[7]);
            case "attentionForward" -> {
                VectorAttention attention = attention((AttentionShape) a.all[6], (Mask) a.all[7], a.number(8));
                yield () -> attention.forward(a.slice(0), a.slice(1), a.slice(2), a.slice(3), a.slice(4));
            }
            case "attentionBackward" -> {
                VectorAttention attention = attention((AttentionShape) a.all[10], (Mask) a.all[11], a.number(12));
                yield () -> attention.backward(a.slice(0), a.slice(1), a.slice(2), a.slice(3), a.slice(4),
                        a.slice(5), a.slice(6), a.slice(7), a.slice(8));
            }
            default -> throw new UnsupportedOperationException(backend + " has no " + op);
        };
    }

    private void requirePlain(float labelSmoothing, float zLoss) {
        if (labelSmoothing != 0 || zLoss != 0) {
            throw new UnsupportedOperationException(backend + " has neither label smoothing nor z-loss");
        }
    }

    private VectorAttention attention(AttentionShape shape, Mask mask, float scale) {
        boolean packed = shape.equals(AttentionShape.packed(shape.B(), shape.T(), shape.H(), shape.D()));
        if (!packed || !mask.equals(Mask.causal())) {
            throw new UnsupportedOperationException(
                    backend + " has causal attention on heads of one packed tensor only");
        }
        return new VectorAttention(
                Math.toIntExact(shape.B()),
                Math.toIntExact(shape.T()),
                Math.toIntExact(shape.H()),
                Math.toIntExact(shape.D()),
                Math.toIntExact(shape.keyTokenStride()),
                Math.toIntExact(shape.outTokenStride()),
                scale);
    }
}
