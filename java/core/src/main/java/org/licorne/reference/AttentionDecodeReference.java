package org.licorne.reference;

import java.util.Arrays;
import org.licorne.backend.AttentionShape;

/** The specification of attention_decode. */
final class AttentionDecodeReference {
    private AttentionDecodeReference() {}

    static void forward(
            Workers workers,
            Floats out,
            Floats q,
            Floats k,
            Floats v,
            Ints keyLengths,
            AttentionShape shape,
            float scale) {
        int H = (int) shape.H();
        int D = (int) shape.D();
        int group = (int) (shape.H() / shape.G());
        workers.run(shape.B() * H, (from, to) -> {
            double[] query = new double[D];
            double[] row = new double[D];
            double[] sum = new double[D];
            double[] scores = new double[(int) shape.S()];
            for (int head = from; head < to; head++) {
                int b = head / H;
                int h = head % H;
                int length = keyLengths.get(b);
                Arrays.fill(sum, 0);
                if (length > 0) {
                    q.load(AttentionReference.queryAt(shape, b, 0, h), query, 0, D);
                    AttentionReference.probabilities(scores, query, row, k, shape, b, h / group, 0, length, scale);
                    for (int j = 0; j < length; j++) {
                        v.load(AttentionReference.keyAt(shape, b, j, h / group), row, 0, D);
                        AttentionReference.addScaled(sum, 0, row, 0, scores[j], D);
                    }
                }
                out.store(AttentionReference.outAt(shape, b, 0, h), sum, 0, D);
            }
        });
    }
}
