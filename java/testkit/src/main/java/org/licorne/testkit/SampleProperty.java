package org.licorne.testkit;

import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import org.licorne.backend.Backend;
import org.licorne.testkit.SampleContract.Choice;

/** Drawing a token against sorting everything, whatever the logits and the choice. A backend's tests extend it. */
public abstract class SampleProperty {
    /** Fresh backends; the property closes them. */
    protected abstract Iterable<Backend> open();

    @Provide
    Arbitrary<Choice> choices() {
        return Combinators.combine(
                        Arbitraries.of(0.0, 1e-3, 0.5, 1.0, 2.0, 30.0),
                        Arbitraries.longs().between(0, 60),
                        Arbitraries.doubles().between(0.01, 1),
                        Arbitraries.longs())
                .as(Choice::new);
    }

    /** Few different ones, or many; of rows short and long. */
    @Property(tries = 400)
    void drawsWhatSortingDraws(
            @ForAll("choices") Choice choice,
            @ForAll @IntRange(min = 1, max = 700) int V,
            @ForAll @IntRange(min = 1, max = 24) int steps,
            @ForAll Random random) {
        float[] logits = new float[3 * V];
        for (int i = 0; i < logits.length; i++) {
            float logit = (float) (3 * random.nextGaussian());
            logits[i] = steps > 12 ? logit : Math.round(logit * steps) / (float) steps;
        }
        for (Backend opened : open()) {
            try (Backend backend = opened) {
                SampleContract.check(backend, backend.kernels(), V, logits, choice);
            }
        }
    }
}
