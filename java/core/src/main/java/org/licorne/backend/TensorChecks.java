package org.licorne.backend;

import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.Shapes;
import org.licorne.tensor.Tensor;

/** What {@link KernelChecks} is made of. Allocates nothing unless a check fails. */
final class TensorChecks {
    private TensorChecks() {}

    static IllegalArgumentException failure(String op, String what) {
        return new IllegalArgumentException(op + ": " + what);
    }

    static void present(String op, String name, Tensor tensor) {
        if (tensor == null) {
            throw failure(op, name + " is null");
        }
    }

    static void type(String op, String name, Tensor tensor, DType wanted) {
        present(op, name, tensor);
        if (tensor.dtype() != wanted) {
            throw failure(op, name + shape(tensor) + " is " + tensor.dtype() + ", not " + wanted);
        }
        if (tensor.byteOffset() % wanted.alignment() != 0) {
            throw failure(
                    op,
                    name + " starts at byte " + tensor.byteOffset() + ", which is not a multiple of "
                            + wanted.alignment());
        }
    }

    /** A matrix of (rows, columns) weights in BF16, Q8 or Q4. */
    static void smallMatrix(String op, String name, Tensor tensor, String letters, long rows, long columns) {
        present(op, name, tensor);
        DType dtype = tensor.dtype();
        if (dtype != DType.BF16 && !dtype.isTile()) {
            throw failure(op, name + shape(tensor) + " is " + dtype + ", not BF16, Q8 or Q4");
        }
        type(op, name, tensor, dtype);
        if (dtype.isTile()) {
            long tileRows = Math.floorDiv(rows + DType.TILE_ROWS - 1, DType.TILE_ROWS);
            long tileColumns = Math.floorDiv(columns + DType.TILE_COLUMNS - 1, DType.TILE_COLUMNS);
            shape(op, name, tensor, dtype, letters + " in tiles", tileRows, tileColumns);
        } else {
            shape(op, name, tensor, dtype, letters, rows, columns);
        }
    }

    static void size(String op, String name, long size) {
        if (size < 0) {
            throw failure(op, name + " = " + size + " is negative");
        }
    }

    static long product(String op, long a, long b) {
        try {
            return Math.multiplyExact(a, b);
        } catch (ArithmeticException e) {
            throw failure(op, a + " times " + b + " elements are more than 2^63");
        }
    }

    static void shape(String op, String name, Tensor tensor, DType wanted, String letters, long a) {
        type(op, name, tensor, wanted);
        if (tensor.elements() != a) {
            throw mismatch(op, name, tensor, letters, a);
        }
    }

    /**
     * The tensor has a·b elements, and its rows have b of them. {@code (B,T,C)} fits {@code (N,C)}: leading dimensions
     * may be joined, and so may trailing ones.
     */
    static void shape(String op, String name, Tensor tensor, DType wanted, String letters, long a, long b) {
        type(op, name, tensor, wanted);
        long elements = product(op, a, b);
        if (tensor.elements() != elements || elements != 0 && !endsWith(tensor, b)) {
            throw mismatch(op, name, tensor, letters, a, b);
        }
    }

    static void shape(String op, String name, Tensor tensor, DType wanted, String letters, long a, long b, long c) {
        type(op, name, tensor, wanted);
        long inner = product(op, b, c);
        long elements = product(op, a, inner);
        if (tensor.elements() != elements || elements != 0 && !(endsWith(tensor, c) && endsWith(tensor, inner))) {
            throw mismatch(op, name, tensor, letters, a, b, c);
        }
    }

    /** Rows of {@code columns} elements, any number of them. */
    static void rows(String op, String name, Tensor tensor, DType wanted, String letters, long columns) {
        type(op, name, tensor, wanted);
        if (tensor.elements() != 0 && !endsWith(tensor, columns)) {
            throw failure(op, name + " " + shape(tensor) + " != (" + letters + ") with rows of " + columns);
        }
    }

    /** Whether some of the last dimensions multiply to {@code elements}. */
    private static boolean endsWith(Tensor tensor, long elements) {
        long product = 1;
        for (int i = tensor.rank() - 1; i >= 0 && product < elements; i--) {
            product *= tensor.size(i);
        }
        return product == elements;
    }

    static void sameElements(String op, String name, Tensor tensor, String otherName, Tensor other) {
        if (tensor.elements() != other.elements()) {
            throw failure(op, name + " " + shape(tensor) + " != " + otherName + " " + shape(other));
        }
    }

    static void bothOrNone(String op, String name, Tensor tensor, String otherName, Tensor other) {
        if ((tensor == null) != (other == null)) {
            throw failure(op, name + " and " + otherName + " must both be given or both be null");
        }
    }

    /** At least {@code extent} elements. */
    static void reaches(String op, String name, Tensor tensor, DType wanted, long extent) {
        type(op, name, tensor, wanted);
        if (tensor.elements() < extent) {
            throw failure(
                    op,
                    name + " " + shape(tensor) + " has " + tensor.elements()
                            + " elements, but its strides reach "
                            + extent);
        }
    }

    /** The two share no byte. */
    static void apart(String op, String name, Tensor tensor, String otherName, Tensor other) {
        if (tensor != null && other != null && overlap(tensor, other)) {
            throw failure(
                    op,
                    name + " overlaps " + otherName + " in buffer '"
                            + tensor.buffer().name() + "'");
        }
    }

    /** The two are the same memory or share no byte. */
    static void sameOrApart(String op, String name, Tensor tensor, String otherName, Tensor other) {
        if (tensor.byteOffset() != other.byteOffset()) {
            apart(op, name, tensor, otherName, other);
        }
    }

    private static boolean overlap(Tensor one, Tensor other) {
        Buffer buffer = one.buffer();
        return buffer == other.buffer()
                && one.bytes() > 0
                && other.bytes() > 0
                && one.byteOffset() < other.byteOffset() + other.bytes()
                && other.byteOffset() < one.byteOffset() + one.bytes();
    }

    private static IllegalArgumentException mismatch(
            String op, String name, Tensor tensor, String letters, long... wanted) {
        return failure(op, name + " " + shape(tensor) + " != (" + letters + ") = " + Shapes.toString(wanted));
    }

    static String shape(Tensor tensor) {
        return Shapes.toString(tensor.shape());
    }

    /** Where a backend wants one, its size is the backend's to check. */
    static void workspaceType(String op, Tensor workspace) {
        if (workspace != null) {
            type(op, "workspace", workspace, DType.U8);
        }
    }
}
