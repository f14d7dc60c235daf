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
    /** A later proposal has to be that much faster than those before: noise must not choose. */
    static final double CLEARLY_FASTER = 0.97;

    /**
     * Once the plans tried take so long together, the rest is not tried: trying one costs about two runs of it where they
     * are long, and nobody wants to wait for more than a second.
     */
    static final double ENOUGH_MILLISECONDS = 400;

    /** Makes plans and tries them. */
    interface Planner<P> {
        /** How many kinds of proposals there are. */
        int attempts();

        /**
         * Plans for the shape, the likely best first; none if there are none of that kind.
         *
         * @param attempt from 0; the next one counts where no plan of those before can be run
         */
        List<P> propose(ProductShape shape, int attempt);

        /** What plans for the shape are tried with; null if they cannot be tried now. */
        Trial<P> trial(ProductShape shape);

        /** A plan that computes each row as {@code plan} does, for another number of rows. */
        P withRows(P plan, ProductShape shape);

        /** The plan is not going to be used. */
        void discard(P plan);
    }

    /** Runs plans of one shape on memory that nobody needs. */
    interface Trial<P> extends AutoCloseable {
        /** The time of a plan that cannot be run. */
        double REFUSED = Double.POSITIVE_INFINITY;

        double milliseconds(P plan);

        /** Whether a plan can be run; runs it once. */
        boolean runs(P plan);

        @Override
        void close();
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
        PlanChoices.Choice known = choices.find(shape);
        if (known != null && known.attempt() < planner.attempts()) {
            List<P> proposed = planner.propose(shape, known.attempt());
            P plan = keep(proposed, known.place());
            if (plan != null) {
                return plan;
            }
        }
        for (int attempt = 0; attempt < planner.attempts(); attempt++) {
            List<P> proposed = planner.propose(shape, attempt);
            int best;
            try {
                best = proposed.isEmpty() ? -1 : fastest(shape, attempt, proposed);
            } catch (RuntimeException e) {
                keep(proposed, -1);
                throw e;
            }
            P plan = keep(proposed, best);
            if (plan != null) {
                return plan;
            }
        }
        throw new UnsupportedOperationException("cuBLASLt has no algorithm that computes the product " + shape);
    }

    /** Discards all others. @return null if there is none at that place */
    private P keep(List<P> proposed, int place) {
        for (int i = 0; i < proposed.size(); i++) {
            if (i != place) {
                planner.discard(proposed.get(i));
            }
        }
        return place >= 0 && place < proposed.size() ? proposed.get(place) : null;
    }

    /** Without trials for the time. @return the place of the first plan that runs, -1 if none does */
    private int first(ProductShape shape, List<P> proposed) {
        try (Trial<P> trial = planner.trial(shape)) {
            if (trial == null) {
                return 0; // not to be found out now
            }
            for (int i = 0; i < proposed.size(); i++) {
                if (trial.runs(proposed.get(i))) {
                    return i;
                }
            }
            return -1;
        }
    }

    /** @return the place of the plan to use, -1 if none runs */
    private int fastest(ProductShape shape, int attempt, List<P> proposed) {
        if (!choices.mayTry()) {
            return first(shape, proposed);
        }
        int best = -1;
        double least = Trial.REFUSED;
        double total = 0;
        try (Trial<P> trial = planner.trial(shape)) {
            if (trial == null) {
                return 0; // not to be found out now: what is likely best, and nothing is remembered
            }
            for (int i = 0; i < proposed.size() && total < ENOUGH_MILLISECONDS; i++) {
                double milliseconds = trial.milliseconds(proposed.get(i));
                if (milliseconds < least * CLEARLY_FASTER) {
                    least = milliseconds;
                    best = i;
                }
                if (milliseconds != Trial.REFUSED) {
                    total += milliseconds;
                }
            }
        }
        if (best >= 0) {
            choices.remember(shape, new PlanChoices.Choice(attempt, best));
        }
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
