package org.licorne.model;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.licorne.nn.Parameter;
import org.licorne.random.Philox;

/**
 * GPT-2's initial weights: normal with one deviation, divided by sqrt(2·layers) for the two maps per block that write
 * to the residual stream; biases 0, norms 1. Each weight is a function of seed, parameter name and place alone, so they
 * come out the same on every machine and backend, and whatever the number of threads. Stateless and thread-safe.
 */
public final class Initialisation {
    /** Values that a thread makes at a time: they stay in its caches. */
    private static final int PART = 1 << 14;

    private final int layers;
    private final long seed;
    private final double deviation;

    /** @param deviation GPT-2's is {@link Gpt#INITIAL_DEVIATION} */
    public Initialisation(GptConfig config, long seed, double deviation) {
        if (!(deviation > 0)) {
            throw new IllegalArgumentException(
                    "the deviation of the initial weights must be positive, not " + deviation);
        }
        this.layers = config.layers();
        this.seed = seed;
        this.deviation = deviation;
    }

    /** Writes the values of the named parameter from its element {@code first} on. */
    public void fill(String name, long first, float[] values, int from, int count) {
        if (name.endsWith(".bias")) {
            Arrays.fill(values, from, from + count, 0);
        } else if (name.contains("ln_")) {
            Arrays.fill(values, from, from + count, 1);
        } else {
            double own = name.endsWith("c_proj.weight") ? deviation / Math.sqrt(2.0 * layers) : deviation;
            Philox.fillNormal(values, from, count, own, seed, stream(name), first);
        }
    }

    /** A stream of random numbers of its own for each name. */
    private static long stream(String name) {
        long hash = 0;
        for (int i = 0; i < name.length(); i++) {
            hash = 31 * hash + name.charAt(i);
        }
        return hash;
    }

    /** Writes all parameters, on all processors. */
    void fill(List<Parameter> parameters) {
        long[] ends = new long[parameters.size()]; // in parts
        long parts = 0;
        for (int i = 0; i < ends.length; i++) {
            parts += (parameters.get(i).elements() + PART - 1) / PART;
            ends[i] = parts;
        }
        long all = parts;
        AtomicLong next = new AtomicLong();
        IntStream.range(0, Runtime.getRuntime().availableProcessors())
                .parallel()
                .forEach(worker -> {
                    float[] values = new float[PART];
                    for (long part = next.getAndIncrement(); part < all; part = next.getAndIncrement()) {
                        int found = Arrays.binarySearch(ends, part + 1);
                        int index = found >= 0 ? found : -found - 1; // the first that ends behind the part
                        Parameter parameter = parameters.get(index);
                        long first = (part - (index == 0 ? 0 : ends[index - 1])) * PART;
                        int count = (int) Math.min(PART, parameter.elements() - first);
                        fill(parameter.name(), first, values, 0, count);
                        parameter.tensor().write(first, values, 0, count);
                    }
                });
    }
}
