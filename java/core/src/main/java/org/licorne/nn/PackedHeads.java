package org.licorne.nn;

import org.licorne.tensor.Tensor;

/** A packed (B, T, 3C) tensor and the views of its queries, keys and values that the attention ops take. */
final class PackedHeads {
    final Tensor all; // (B·T, 3C)
    final Tensor q; // extent of (B, T, C) with token stride 3C
    final Tensor k;
    final Tensor v;

    PackedHeads(Tensor all, long rows, long channels) {
        long extent = Math.max(0, rows * 3 * channels - 2 * channels);
        this.all = all;
        q = all.part(all.name() + ".q", 0, extent);
        k = all.part(all.name() + ".k", rows == 0 ? 0 : channels, extent);
        v = all.part(all.name() + ".v", rows == 0 ? 0 : 2 * channels, extent);
    }
}
