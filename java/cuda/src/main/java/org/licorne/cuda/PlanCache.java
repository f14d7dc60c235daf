package org.licorne.cuda;

import java.util.List;
import org.licorne.tensor.DType;

/**
 * How each shape of product is computed: found out at its first use, by timing what the planner proposes, and kept.
 * Looking up a known shape allocates nothing. Not thread-safe.
 *
 * @param <P> a plan
 */
final class PlanCache<P> {
    /** Makes plans and tries them. */
    interface Planner<P> {
        /** Plans for the shape, the likely best first; never empty. */
        List<P> propose(ProductShape shape);

        /** Milliseconds that the plan takes, on memory nobody needs; negative if that cannot be found out now. */
        double milliseconds(P plan, ProductShape shape);

        /** A plan that computes each row as {@code plan} does, for another number of rows. */
        P withRows(P plan, ProductShape shape);

        /** The plan is not going to be used. */
        void discard(P plan);
    }

    private record Entry<P>(ProductShape shape, P plan) {}

    private final Planner<P> planner;
    private final PlanChoices choices;
    private final long independentRows;

    private Entry<P>[] entries = table(256);
    private int count;

    /** @param independentRows up to so many rows of a forward product share one way of computing it */
    PlanCache(Planner<P> planner, PlanChoices choices, long independentRows) {
        this.planner = planner;
        this.choices = choices;
        this.independentRows = independentRows;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static <P> Entry<P>[] table(int size) {
        return new Entry[size];
    }

    P get(ProductShape.Kind kind, DType type, boolean bias, int alignment, long N, long C, long OC) {
        for (int i = place(kind, type, bias, alignment, N, C, OC); ; i = i + 1 & entries.length - 1) {
            Entry<P> entry = entries[i];
            if (entry == null) {
                return add(new ProductShape(kind, type, bias, alignment, N, C, OC));
            }
            ProductShape shape = entry.shape;
            if (shape.N() == N
                    && shape.C() == C
                    && shape.OC() == OC
                    && shape.kind() == kind
                    && shape.type() == type
                    && shape.bias() == bias
                    && shape.alignment() == alignment) {
                return entry.plan;
            }
        }
    }

    private int place(ProductShape.Kind kind, DType type, boolean bias, int alignment, long N, long C, long OC) {
        long hash = ((N * 31 + C) * 31 + OC) * 31 + alignment;
        hash = (hash * 31 + kind.ordinal()) * 31 + type.ordinal() * 2 + (bias ? 1 : 0);
        hash *= 0x9e3779b97f4a7c15L;
        return (int) (hash >>> 32) & entries.length - 1;
    }

    private P add(ProductShape shape) {
        P plan;
        if (shape.kind() == ProductShape.Kind.FORWARD && shape.N() < independentRows) {
            P most = get(
                    shape.kind(),
                    shape.type(),
                    shape.bias(),
                    shape.alignment(),
                    independentRows,
                    shape.C(),
                    shape.OC());
            plan = planner.withRows(most, shape);
        } else {
            plan = choose(shape);
        }
        if (2 * (count + 1) > entries.length) {
            grow();
        }
        insert(new Entry<>(shape, plan));
        return plan;
    }

    private P choose(ProductShape shape) {
        List<P> proposed = planner.propose(shape);
        int best = choices.find(shape);
        if (best < 0 || best >= proposed.size()) {
            best = fastest(shape, proposed);
        }
        for (int i = 0; i < proposed.size(); i++) {
            if (i != best) {
                planner.discard(proposed.get(i));
            }
        }
        return proposed.get(best);
    }

    private int fastest(ProductShape shape, List<P> proposed) {
        if (proposed.size() == 1 || !choices.mayTry()) {
            return 0;
        }
        int best = 0;
        double least = Double.POSITIVE_INFINITY;
        for (int i = 0; i < proposed.size(); i++) {
            double milliseconds = planner.milliseconds(proposed.get(i), shape);
            if (milliseconds < 0) {
                return 0; // not to be found out now: what is likely best, and nothing is remembered
            }
            if (milliseconds < least) {
                least = milliseconds;
                best = i;
            }
        }
        choices.remember(shape, best);
        return best;
    }

    private void grow() {
        Entry<P>[] old = entries;
        entries = table(2 * old.length);
        count = 0;
        for (Entry<P> entry : old) {
            if (entry != null) {
                insert(entry);
            }
        }
    }

    private void insert(Entry<P> entry) {
        ProductShape shape = entry.shape;
        int i = place(shape.kind(), shape.type(), shape.bias(), shape.alignment(), shape.N(), shape.C(), shape.OC());
        while (entries[i] != null) {
            i = i + 1 & entries.length - 1;
        }
        entries[i] = entry;
        count++;
    }

    /** Forgets all plans. */
    void discardAll() {
        for (Entry<P> entry : entries) {
            if (entry != null) {
                planner.discard(entry.plan);
            }
        }
        entries = table(256);
        count = 0;
    }
}
