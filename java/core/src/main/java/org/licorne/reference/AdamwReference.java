package org.licorne.reference;

/** The specification of adamw. */
final class AdamwReference {
    private AdamwReference() {}

    static void step(
            Workers workers,
            Floats parameters,
            Floats weights,
            Floats m,
            Floats v,
            Floats gradients,
            Floats norm,
            int count,
            double learningRate,
            double beta1,
            double beta2,
            double epsilon,
            double weightDecay,
            double maxNorm,
            double largestNorm,
            long step) {
        if (norm != null && !(norm.get(0) <= Math.min(largestNorm, Float.MAX_VALUE))) {
            return;
        }
        double clip = norm == null || norm.get(0) <= maxNorm ? 1 : maxNorm / norm.get(0); // 1 for a norm of 0
        double correction1 = 1 - Math.pow(beta1, step);
        double correction2 = 1 - Math.pow(beta2, step);
        workers.run(count, (from, to) -> {
            for (int i = from; i < to; i++) {
                double gradient = gradients.get(i) * clip;
                double first = beta1 * m.get(i) + (1 - beta1) * gradient;
                double second = beta2 * v.get(i) + (1 - beta2) * gradient * gradient;
                double update = first / correction1 / (Math.sqrt(second / correction2) + epsilon);
                double parameter = parameters.get(i);
                m.put(i, first);
                v.put(i, second);
                parameters.put(i, parameter - learningRate * (update + weightDecay * parameter));
                if (weights != null) {
                    weights.put(i, parameters.get(i));
                }
            }
        });
    }
}
