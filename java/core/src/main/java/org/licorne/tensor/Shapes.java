package org.licorne.tensor;

import java.util.Arrays;

/** Arithmetic on shapes, with overflow checked. */
public final class Shapes {
    private Shapes() {}

    /** Product of the dimensions; 1 for a scalar. */
    public static long elements(long... shape) {
        long product = 1;
        for (long dimension : shape) {
            product = Math.multiplyExact(product, dimension);
        }
        return product;
    }

    /** @throws IllegalArgumentException if a dimension is negative or the product overflows */
    public static void check(String name, long... shape) {
        for (long dimension : shape) {
            if (dimension < 0) {
                throw new IllegalArgumentException(name + ": negative dimension in shape " + toString(shape));
            }
        }
        try {
            elements(shape);
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException(name + ": shape " + toString(shape) + " has more than 2^63 elements");
        }
    }

    /** The shape as {@code (8,50257)}. */
    public static String toString(long... shape) {
        String inside = Arrays.toString(shape);
        return "(" + inside.substring(1, inside.length() - 1).replace(" ", "") + ")";
    }
}
