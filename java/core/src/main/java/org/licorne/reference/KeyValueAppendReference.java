package org.licorne.reference;

/** The specification of key_value_append. */
final class KeyValueAppendReference {
    private KeyValueAppendReference() {}

    static void append(
            Floats keyCache,
            Floats valueCache,
            Floats k,
            Floats v,
            Ints positions,
            int B,
            int T,
            int S,
            int W,
            int rowStride) {
        for (int row = 0; row < B * T; row++) {
            int position = positions.get(row);
            if (position < 0) {
                continue;
            }
            int from = row * rowStride;
            int to = (row / T * S + position) * W;
            for (int i = 0; i < W; i++) {
                keyCache.put(to + i, k.get(from + i));
                valueCache.put(to + i, v.get(from + i));
            }
        }
    }
}
