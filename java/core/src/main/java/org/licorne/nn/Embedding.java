package org.licorne.nn;

import org.licorne.backend.Kernels;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** Learned embeddings of tokens and positions. Stateless but for its parameters, which {@link Parameters} owns. */
public final class Embedding {
    /** The token table's rows are padded to a multiple of this, so that the head's product runs on full tiles. */
    public static final long ROW_MULTIPLE = 64;

    private final Parameter tokens; // (V, C), padded to (Vp, C)
    private final Parameter positions; // (P, C)
    private final long channels;

    public Embedding(
            Parameters parameters,
            String tokenName,
            String positionName,
            long vocabulary,
            long context,
            long channels) {
        this.tokens =
                parameters.declareMatrix(tokenName + ".weight", paddedVocabulary(vocabulary), vocabulary, channels);
        this.positions = parameters.declare(positionName + ".weight", true, context, channels);
        this.channels = channels;
    }

    /** V rounded up to the padded Vp. */
    public static long paddedVocabulary(long vocabulary) {
        return (vocabulary + ROW_MULTIPLE - 1) / ROW_MULTIPLE * ROW_MULTIPLE;
    }

    public Parameter tokens() {
        return tokens;
    }

    public Parameter positions() {
        return positions;
    }

    /** @param out (N, C) @param ids (N) I32 @param places (N) I32 */
    public void forward(Kernels kernels, Tensor out, Tensor ids, Tensor places, long N) {
        if (tokens.dtype() == DType.F32) {
            kernels.embeddingForward(out, tokens.weight(kernels), positions.weight(kernels), ids, places, N, channels);
        } else {
            kernels.quantizedEmbeddingForward(
                    out, tokens.small(), positions.weight(kernels), ids, places, N, channels, tokens.paddedRows());
        }
    }

    /** Adds to both tables' gradients. @param dout (N, C) */
    public void backward(Kernels kernels, Tensor dout, Tensor ids, Tensor places, long N) {
        kernels.embeddingBackward(tokens.paddedGradient(), positions.gradient(), dout, ids, places, N, channels);
    }
}
