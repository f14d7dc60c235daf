package org.licorne.backend;

import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * Every op, one method per op and direction: the contract that the reference, the CPU and the CUDA kernels fulfil.
 *
 * <p>Dimensions: B batch, T time (query), S source (key), C channels, OC output channels, H heads, G key and value
 * heads, D head size, V vocabulary, Vp padded vocabulary (V rounded up), N rows (often B·T).
 *
 * <p>For all ops: outputs come first, then inputs, then sizes, then scalars. Tensors are contiguous, indices are I32.
 * Activations, their gradients, and weights as ops read them have the {@link #activationType}; where an op's types say
 * "activations", those are meant. All else is F32 unless the op says otherwise: gradients of parameters, statistics
 * (mean, rstd, lse), losses and the optimiser's state. Sums are carried in F32 at least and rounded once.
 * Activations and their gradients overwrite, gradients of parameters accumulate
 * ({@code +=}). Inputs stay as they are. A size of 0 is allowed and does nothing. No op allocates; workspace is a U8
 * tensor of at least {@code …WorkspaceBytes}, or null where that is 0. On one machine with one thread count the same
 * call gives the same bits. Ops of one backend are issued from one thread at a time; a device backend may return before
 * the work is done ({@link Backend#synchronize}).
 *
 * <p>For all ops: {@link IllegalArgumentException} if a shape or type does not fit (the message has the names and both
 * shapes), {@link IllegalStateException} if a buffer is closed, {@link DeviceException} if the device fails.
 */
public interface Kernels {

    /**
     * What activations are stored in: F32, or BF16 where a device computes fastest on that. Parameters are always kept
     * in F32; with BF16 there is a second, rounded copy of them, which {@link #adamw} keeps up to date and which ops
     * read.
     */
    default DType activationType() {
        return DType.F32;
    }

    // ---- memory -----------------------------------------------------------------------------------------------

    /** Computes {@code out[i] = value}. Types: F32, activations, or I32 (value is converted). */
    void fill(Tensor out, float value);

    /**
     * Computes {@code out = x + y} on whole numbers, for counters that live beside the data. Shapes: the same number of
     * elements. Types: I32, wrapping around. Edge: out may be x or y.
     */
    void add(Tensor out, Tensor x, Tensor y);

    /** Computes {@code out = x}, bit by bit. Shapes: the same number of elements and the same type; no overlap. */
    void copy(Tensor out, Tensor x);

    // ---- embedding --------------------------------------------------------------------------------------------

    /**
     * Embedding of tokens and positions.
     *
     * <p>Computes: {@code out[n][c] = tokenTable[tokens[n]][c] + positionTable[positions[n]][c]}.
     * <br>Shapes: out (N,C), tokenTable (Vp,C), positionTable (P,C), tokens (N), positions (N).
     * <br>Types: activations; tokens and positions I32.
     * <br>Writes: out.
     * <br>Edge: positionTable and positions may both be null: nothing is added. A token outside 0…Vp-1 or a position
     * outside 0…P-1 is an IllegalArgumentException that names the first bad index (a device backend may report it at
     * the next synchronisation); out is then undefined.
     * <br>Repeat: bit-identical.
     * <br>Cost: 3·N·C·4 bytes.
     * <br>Throws: as all ops.
     * <br>Source: Radford et al. 2019 (GPT-2); Vaswani et al. 2017, section 3.4.
     */
    void embeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C);

    /**
     * Gradient of {@link #embeddingForward}.
     *
     * <p>Computes: {@code dTokenTable[tokens[n]] += dout[n]} and {@code dPositionTable[positions[n]] += dout[n]}, in
     * increasing order of n.
     * <br>Shapes: dTokenTable (Vp,C), dPositionTable (P,C), dout (N,C), tokens (N), positions (N).
     * <br>Types: dout activations; tables F32; tokens and positions I32.
     * <br>Writes: dTokenTable and dPositionTable, accumulating.
     * <br>Edge: dPositionTable and positions may both be null. Indices as in the forward op.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 5·N·C·4 bytes.
     * <br>Throws: as all ops.
     * <br>Source: derivative of the forward op.
     */
    void embeddingBackward(
            Tensor dTokenTable, Tensor dPositionTable, Tensor dout, Tensor tokens, Tensor positions, long N, long C);

    // ---- layer_norm -------------------------------------------------------------------------------------------

    /**
     * Layer normalisation, with the residual addition before it.
     *
     * <p>Computes: {@code sum = x + residual} (or x without residual), {@code mean = Σ sum / C}, {@code rstd = 1 /
     * sqrt(Σ (sum - mean)² / C + epsilon)}, {@code out = (sum - mean) · rstd · gamma + beta}, per row.
     * <br>Shapes: out, sum, x, residual (N,C); mean, rstd (N); gamma, beta (C).
     * <br>Types: activations; mean and rstd F32.
     * <br>Writes: out, mean, rstd, and sum if there is a residual.
     * <br>Edge: residual and sum are both null or both given; sum may be the same tensor as x or as residual. A
     * constant row gives beta. C = 0 gives a mean of 0 and an rstd of 1 / sqrt(epsilon).
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 8·N·C flops; 2·N·C·4 bytes, 4·N·C·4 with residual.
     * <br>Throws: as all ops.
     * <br>Source: Ba et al. 2016, equation 4.
     */
    void layerNormForward(
            Tensor out, Tensor sum, Tensor mean, Tensor rstd, Tensor x, Tensor residual, Tensor gamma, Tensor beta,
            long N, long C, float epsilon);

    /**
     * Gradient of {@link #layerNormForward}.
     *
     * <p>Computes: with {@code x̂ = (x - mean) · rstd} and {@code g = dout · gamma}:
     * {@code dx = rstd · (g - Σg/C - x̂ · Σ(g·x̂)/C) + dresidual}; {@code dgamma += Σ_n dout·x̂},
     * {@code dbeta += Σ_n dout}. x is what was normalised, i.e. the forward op's sum if it had a residual; dx is then
     * the gradient of both summands.
     * <br>Shapes: dx, dout, x, dresidual (N,C); dgamma, dbeta, gamma (C); mean, rstd (N).
     * <br>Types: activations; dgamma, dbeta, mean and rstd F32.
     * <br>Writes: dx; dgamma and dbeta accumulating; workspace.
     * <br>Edge: dresidual (gradient that reaches the sum by another way) may be null; dx may be the same tensor as
     * dresidual or as dout.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 14·N·C flops; 3·N·C·4 bytes, 4·N·C·4 with dresidual.
     * <br>Throws: as all ops.
     * <br>Source: derivative of the forward op.
     */
    void layerNormBackward(
            Tensor dx, Tensor dgamma, Tensor dbeta, Tensor dout, Tensor x, Tensor gamma, Tensor mean, Tensor rstd,
            Tensor dresidual, Tensor workspace, long N, long C);

    /** Bytes of workspace that {@link #layerNormBackward} wants. */
    long layerNormBackwardWorkspaceBytes(long N, long C);

    // ---- rms_norm ---------------------------------------------------------------------------------------------

    /**
     * Root-mean-square normalisation, with the residual addition before it.
     *
     * <p>Computes: {@code sum = x + residual} (or x without residual), {@code rstd = 1 / sqrt(Σ sum² / C + epsilon)},
     * {@code out = sum · rstd · gamma}, per row.
     * <br>Shapes: out, sum, x, residual (N,C); rstd (N); gamma (C).
     * <br>Types: activations; rstd F32.
     * <br>Writes: out, rstd, and sum if there is a residual.
     * <br>Edge: residual and sum are both null or both given; sum may be the same tensor as x or as residual. A row of
     * zeros gives zeros. C = 0 gives an rstd of 1 / sqrt(epsilon).
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 5·N·C flops; 2·N·C·4 bytes, 4·N·C·4 with residual.
     * <br>Throws: as all ops.
     * <br>Source: Zhang and Sennrich 2019, equation 4.
     */
    void rmsNormForward(
            Tensor out, Tensor sum, Tensor rstd, Tensor x, Tensor residual, Tensor gamma, long N, long C,
            float epsilon);

    /**
     * Gradient of {@link #rmsNormForward}.
     *
     * <p>Computes: with {@code x̂ = x · rstd} and {@code g = dout · gamma}: {@code dx = rstd · (g - x̂ · Σ(g·x̂)/C) +
     * dresidual}; {@code dgamma += Σ_n dout·x̂}. x is what was normalised, i.e. the forward op's sum if it had a
     * residual; dx is then the gradient of both summands.
     * <br>Shapes: dx, dout, x, dresidual (N,C); dgamma, gamma (C); rstd (N).
     * <br>Types: activations; dgamma and rstd F32.
     * <br>Writes: dx; dgamma accumulating; workspace.
     * <br>Edge: dresidual (gradient that reaches the sum by another way) may be null; dx may be the same tensor as
     * dresidual or as dout.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 10·N·C flops; 3·N·C·4 bytes, 4·N·C·4 with dresidual.
     * <br>Throws: as all ops.
     * <br>Source: derivative of the forward op.
     */
    void rmsNormBackward(
            Tensor dx, Tensor dgamma, Tensor dout, Tensor x, Tensor gamma, Tensor rstd, Tensor dresidual,
            Tensor workspace, long N, long C);

    /** Bytes of workspace that {@link #rmsNormBackward} wants. */
    long rmsNormBackwardWorkspaceBytes(long N, long C);

    // ---- linear -----------------------------------------------------------------------------------------------

    /**
     * Linear map.
     *
     * <p>Computes: {@code out = x · weightᵀ + bias}.
     * <br>Shapes: out (N,OC), x (N,C), weight (OC,C), bias (OC).
     * <br>Types: activations.
     * <br>Writes: out.
     * <br>Edge: bias may be null. C = 0 gives the bias.
     * <br>Repeat: bit-identical for one thread count. With N up to {@link #linearIndependentRows} a row's bits depend
     * neither on N nor on the other rows; with more rows they may.
     * <br>Cost: 2·N·C·OC flops.
     * <br>Throws: as all ops.
     * <br>Source: affine map.
     */
    void linearForward(Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC);

    /** {@link #linearForward} and {@link #geluForward} of it in place, bit for bit; a backend may do both in one pass. */
    default void linearGeluForward(Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC) {
        linearForward(out, x, weight, bias, N, C, OC);
        geluForward(out, out);
    }

    /**
     * The most rows that {@link #linearForward} computes each as if it were alone, bit for bit; at least 1. Decoding
     * takes no more sequences together than this, so that a text does not depend on its batch.
     */
    long linearIndependentRows();

    /**
     * Gradient of {@link #linearForward} by its input.
     *
     * <p>Computes: {@code dx = dout · weight}.
     * <br>Shapes: dx (N,C), dout (N,OC), weight (OC,C).
     * <br>Types: activations.
     * <br>Writes: dx.
     * <br>Edge: OC = 0 gives 0.
     * <br>Repeat: bit-identical for one thread count.
     * <br>Cost: 2·N·C·OC flops.
     * <br>Throws: as all ops.
     * <br>Source: derivative of the forward op.
     */
    void linearBackwardInput(Tensor dx, Tensor dout, Tensor weight, long N, long C, long OC);

    /**
     * Gradient of {@link #linearForward} by its parameters.
     *
     * <p>Computes: {@code dweight += doutᵀ · x}, or {@code =} if not accumulate; {@code dbias += Σ_n dout[n]}.
     * <br>Shapes: dweight (OC,C), dbias (OC), dout (N,OC), x (N,C).
     * <br>Types: dout and x activations; dweight and dbias F32.
     * <br>Writes: dweight, accumulating if so asked, else whatever it held; dbias, accumulating.
     * <br>Edge: dbias may be null. N = 0 without accumulate gives 0.
     * <br>Repeat: bit-identical for one thread count.
     * <br>Cost: 2·N·C·OC flops.
     * <br>Throws: as all ops.
     * <br>Source: derivative of the forward op.
     */
    void linearBackwardWeight(
            Tensor dweight, Tensor dbias, Tensor dout, Tensor x, long N, long C, long OC, boolean accumulate);

    /** 256 rows of GPT-2's vocabulary in F32: with what the products pack beside them they stay below 64 MB. */
    long DEFAULT_LOGITS_BYTES = 50L << 20;

    /**
     * How large the logits of one chunk of rows should get, in bytes, unless told otherwise. More rows make the head's
     * products larger, and the gradient of its table is read and written less often; fewer stay in a cache.
     */
    default long preferredLogitsBytes() {
        return DEFAULT_LOGITS_BYTES;
    }

    /**
     * Bytes that the backend takes by itself, the first time {@link #linearBackwardWeight} is called with so many rows
     * and outputs and a bias, and keeps: to be counted before they are taken.
     */
    default long linearBackwardWeightOwnBytes(long N, long OC) {
        return 0;
    }

    // ---- small weights ----------------------------------------------------------------------------------------

    /**
     * Rounds a matrix of weights to fewer bits.
     *
     * <p>Computes: BF16: each weight to the nearest bfloat16, ties to even. Q8: per row and block of 32 columns, {@code
     * scale = binary16(max|w| / 127)}, {@code q = clamp(rint(w / scale), -127, 127)}. Q4: the same with {@code scale =
     * binary16(e / -8)}, where e is the first weight of the greatest magnitude, and {@code clamp(…, -8, 7)}. Divisions
     * are in F32; binary16 rounds to nearest even and ends at 65504; rint rounds to nearest even. A scale of 0 has q 0.
     * <br>Shapes: x (OC,C); out (OC,C), in tiles for Q8 and Q4 (see {@link org.licorne.tensor.DType}).
     * <br>Types: x F32; out BF16, Q8 or Q4.
     * <br>Writes: out.
     * <br>Edge: a block with a weight that is not finite gets scale NaN and q 0: products with it are NaN.
     * <br>Repeat: bit-identical, on every backend.
     * <br>Cost: 4 bytes per weight read.
     * <br>Throws: as all ops.
     * <br>Source: Dettmers et al. 2022, section 2 (absmax, by block); block formats after ggml's Q8_0 and Q4_0.
     */
    void quantize(Tensor out, Tensor x, long OC, long C);

    /**
     * Linear map with small weights; for a handful of rows its time is that of reading them.
     *
     * <p>Computes: {@code out = x̂ · weightᵀ + bias}. With BF16 weights {@code x̂ = x}. With Q8 and Q4, x is rounded to
     * 8 bits per row and block of 32 columns, in F32: with a the block's greatest magnitude,
     * {@code x̂ = rint(x · (127 / a)) · (a / 127)}; a below 2⁻¹⁰⁰ gives 0.
     * <br>Shapes: out (N,OC), x (N,C), weight (OC,C), in tiles for Q8 and Q4, bias (OC).
     * <br>Types: activations; weight BF16, Q8 or Q4.
     * <br>Writes: out, workspace.
     * <br>Edge: bias may be null. C = 0 gives the bias. A number in x or a scale that is not finite makes what depends
     * on it NaN.
     * <br>Repeat: bit-identical for one thread count.
     * <br>Cost: 2·N·C·OC flops; reads the weights once per 256 rows.
     * <br>Throws: as all ops.
     * <br>Source: Dettmers et al. 2022, equation 2, by block.
     */
    void quantizedLinearForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor workspace, long N, long C, long OC);

    /** The same with {@link #geluForward} of it in place, bit for bit; a backend may do both in one pass. */
    default void quantizedLinearGeluForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor workspace, long N, long C, long OC) {
        quantizedLinearForward(out, x, weight, bias, workspace, N, C, OC);
        geluForward(out, out);
    }

    /**
     * Bytes of workspace that {@link #quantizedLinearForward} wants; the same for all N from 256 on, and no more for
     * fewer.
     *
     * @param weight the weight's type
     */
    long quantizedLinearForwardWorkspaceBytes(DType weight, long N, long C, long OC);

    /**
     * {@link #embeddingForward} with a small token table, the one that a tied head multiplies with.
     *
     * <p>Computes: {@code out[n][c] = tokenTable[tokens[n]][c] + positionTable[positions[n]][c]}.
     * <br>Shapes: out (N,C), tokenTable (Vp,C), in tiles for Q8 and Q4, positionTable (P,C), tokens (N), positions (N).
     * <br>Types: activations; tokenTable BF16, Q8 or Q4; tokens and positions I32.
     * <br>Writes: out.
     * <br>Edge: as {@link #embeddingForward}.
     * <br>Repeat: bit-identical.
     * <br>Cost: 2·N·C·4 bytes and N rows of the table.
     * <br>Throws: as all ops.
     * <br>Source: as {@link #embeddingForward}.
     */
    void quantizedEmbeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C,
            long Vp);

    // ---- attention --------------------------------------------------------------------------------------------

    /**
     * Fused masked attention; never holds a T×S matrix.
     *
     * <p>Computes, per sequence and head: {@code s_ij = scale · q_i·k_j} where query i sees key j (see {@link Mask}),
     * {@code lse_i = log Σ_j exp s_ij}, {@code out_i = Σ_j exp(s_ij - lse_i) v_j}.
     * <br>Shapes: out (B,T,H,D), lse (B,H,T), q (B,T,H,D), k and v (B,S,G,D), with the strides of {@link
     * AttentionShape}; q, k, v and out are checked by the extent that the strides reach, not by their rank.
     * <br>Types: activations; lse F32.
     * <br>Writes: out, lse, workspace.
     * <br>Edge: a query that sees no key has out 0 and lse minus infinity. Keys and values that no query sees are not
     * read as numbers: NaN there does no harm.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 4·D flops per visible pair and head; O(T) memory.
     * <br>Throws: as all ops; IllegalArgumentException for a D that the backend does not support, or a
     * scale that is not positive.
     * <br>Source: Vaswani et al. 2017, equation 1; Dao et al. 2022, algorithm 1; Milakov and Gimelshein 2018.
     */
    void attentionForward(
            Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor workspace, AttentionShape shape, Mask mask,
            float scale);

    /** Bytes of workspace that {@link #attentionForward} wants. */
    long attentionForwardWorkspaceBytes(AttentionShape shape);

    /**
     * Gradient of {@link #attentionForward}.
     *
     * <p>Computes: with {@code p_ij = exp(s_ij - lse_i)}, {@code δ_i = Σ_d dout_i·out_i} and
     * {@code ds_ij = p_ij (dout_i·v_j - δ_i)}: {@code dq_i = scale Σ_j ds_ij k_j}, {@code dk_j = scale Σ_i ds_ij q_i},
     * {@code dv_j = Σ_i p_ij dout_i}; k and v sum over the query heads that share them.
     * <br>Shapes: dq as q, dk and dv as k, dout as out; the rest as in the forward op.
     * <br>Types: activations; lse F32.
     * <br>Writes: dq, dk, dv (all their heads and tokens, 0 where nothing is seen; what lies between by the strides
     * stays), workspace.
     * <br>Edge: as in the forward op.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 10·D flops per visible pair and head; O(T) memory.
     * <br>Throws: as all ops; IllegalArgumentException for a D that the backend does not support, or a
     * scale that is not positive.
     * <br>Source: Dao et al. 2022, algorithm 4.
     */
    void attentionBackward(
            Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
            Tensor workspace, AttentionShape shape, Mask mask, float scale);

    /** Bytes of workspace that {@link #attentionBackward} wants. */
    long attentionBackwardWorkspaceBytes(AttentionShape shape);

    /**
     * Attention of one query per sequence on a key and value cache, for decoding.
     *
     * <p>Computes: as {@link #attentionForward} with T = 1 and a mask of {@code Mask.causal().withLengths(null,
     * keyLengths)}: sequence b sees its first keyLengths[b] keys.
     * <br>Shapes: out (B,1,H,D), q (B,1,H,D), k and v (B,S,G,D), keyLengths (B); strides as in the forward op.
     * <br>Types: activations, but k and v may both be BF16 in any case; keyLengths I32.
     * <br>Writes: out, workspace.
     * <br>Edge: a length of 0 gives 0. A length below 0 or above S is an IllegalArgumentException.
     * <br>Repeat: bit-identical, for any number of threads; one sequence's result does not depend on the others.
     * <br>Cost: reads each visible key and value once.
     * <br>Throws: as all ops; IllegalArgumentException if T is not 1.
     * <br>Source: Dao et al. 2023, "Flash-Decoding"; Milakov and Gimelshein 2018.
     */
    void attentionDecode(
            Tensor out, Tensor q, Tensor k, Tensor v, Tensor keyLengths, Tensor workspace, AttentionShape shape,
            float scale);

    /** Bytes of workspace that {@link #attentionDecode} wants. */
    long attentionDecodeWorkspaceBytes(AttentionShape shape);

    /**
     * Writes new keys and values into a cache.
     *
     * <p>Computes: {@code keyCache[b][positions[b][t]] = k[b][t]}, the same for values.
     * <br>Shapes: keyCache, valueCache (B,S,W); k and v: B·T rows of W elements, rowStride elements from one to the
     * next (slices of a packed tensor, e.g. rowStride 3C and W = C); positions (B,T).
     * <br>Types: activations, but the two caches may both be BF16 in any case, and are rounded to then; positions I32.
     * <br>Writes: the rows named by positions.
     * <br>Edge: a position of -1 is passed over (padding). Any other position outside 0…S-1 is an
     * IllegalArgumentException.
     * <br>Repeat: bit-identical.
     * <br>Cost: 4·B·T·W·4 bytes with an F32 cache.
     * <br>Throws: as all ops.
     * <br>Source: incremental decoding.
     */
    void keyValueAppend(
            Tensor keyCache, Tensor valueCache, Tensor k, Tensor v, Tensor positions, long B, long T, long S, long W,
            long rowStride);

    /**
     * One step of decoding: the new keys and values enter the cache, and the queries attend to all of it. The same as
     * {@link #keyValueAppend} and then {@link #attentionDecode}, bit for bit; a backend may do both in one pass.
     *
     * <br>Shapes: as of these; newK and newV (B,1,G,D) with the strides of q; positions (B,1).
     * <br>Edge: positions[b] must be keyLengths[b] - 1: the new token is the last one. With a length of 0 nothing is
     * appended.
     */
    default void attentionDecodeAppending(
            Tensor out, Tensor q, Tensor k, Tensor v, Tensor newK, Tensor newV, Tensor positions, Tensor keyLengths,
            Tensor workspace, AttentionShape shape, float scale) {
        long W = shape.G() * shape.D();
        keyValueAppend(k, v, newK, newV, positions, shape.B(), 1, shape.S(), W, shape.queryBatchStride());
        attentionDecode(out, q, k, v, keyLengths, workspace, shape, scale);
    }

    // ---- gelu -------------------------------------------------------------------------------------------------

    /**
     * GELU, tanh form.
     *
     * <p>Computes: {@code out = x/2 · (1 + tanh(sqrt(2/π) · (x + 0.044715 x³)))}.
     * <br>Shapes: out, x: the same number of elements.
     * <br>Types: activations.
     * <br>Writes: out.
     * <br>Edge: out may be x. Large |x| gives x or 0 exactly, never NaN.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 8 bytes per element.
     * <br>Throws: as all ops.
     * <br>Source: Hendrycks and Gimpel 2016, section 2 ("gelu_new" of GPT-2).
     */
    void geluForward(Tensor out, Tensor x);

    /**
     * Gradient of {@link #geluForward}.
     *
     * <p>Computes: {@code dx = dout · gelu'(x)}.
     * <br>Shapes: dx, dout, x: the same number of elements.
     * <br>Types: activations.
     * <br>Writes: dx.
     * <br>Edge: dx may be dout.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 12 bytes per element.
     * <br>Throws: as all ops.
     * <br>Source: derivative of the forward op.
     */
    void geluBackward(Tensor dx, Tensor dout, Tensor x);

    // ---- swiglu -----------------------------------------------------------------------------------------------

    /**
     * SwiGLU's gate: one half of each row, through SiLU, multiplies the other half.
     *
     * <p>Computes: {@code out[n][f] = gate · sigmoid(gate) · up} with {@code gate = x[n][f]}, {@code up = x[n][F + f]}.
     * <br>Shapes: out (N,F), x (N,2F).
     * <br>Types: activations.
     * <br>Writes: out.
     * <br>Edge: a large negative gate gives 0, a large positive one gate · up; never NaN from finite numbers whose
     * product is finite.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 12·N·F bytes.
     * <br>Throws: as all ops.
     * <br>Source: Shazeer 2020, equation 6.
     */
    void swigluForward(Tensor out, Tensor x, long N, long F);

    /**
     * Gradient of {@link #swigluForward}.
     *
     * <p>Computes: with {@code s = sigmoid(gate)}: {@code dx[n][f] = dout · up · (s + gate · s · (1 - s))}, {@code
     * dx[n][F + f] = dout · gate · s}.
     * <br>Shapes: dx, x (N,2F); dout (N,F).
     * <br>Types: activations.
     * <br>Writes: dx.
     * <br>Edge: dx may be x, which is then no longer there. Large gates as in the forward op.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 20·N·F bytes.
     * <br>Throws: as all ops.
     * <br>Source: derivative of the forward op.
     */
    void swigluBackward(Tensor dx, Tensor dout, Tensor x, long N, long F);

    // ---- softmax and cross_entropy ----------------------------------------------------------------------------

    /**
     * Softmax over the first V of Vp columns.
     *
     * <p>Computes: {@code out[n][v] = exp(x[n][v] - max) / Σ exp(x[n][·] - max)} for v &lt; V, 0 for the padding.
     * <br>Shapes: out, x (N,Vp).
     * <br>Types: activations.
     * <br>Writes: out.
     * <br>Edge: out may be x. Entries of minus infinity give 0; a row of nothing but minus infinity gives 0
     * everywhere. What lies in x's padding is not looked at.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 8 bytes per element.
     * <br>Throws: as all ops; IllegalArgumentException if V &gt; Vp.
     * <br>Source: Milakov and Gimelshein 2018, algorithm 3.
     */
    void softmaxForward(Tensor out, Tensor x, long N, long V, long Vp);

    /**
     * Gradient of {@link #softmaxForward}.
     *
     * <p>Computes: {@code dx = out · (dout - Σ_v dout·out)}, 0 for the padding.
     * <br>Shapes: dx, dout, out (N,Vp).
     * <br>Types: activations.
     * <br>Writes: dx.
     * <br>Edge: dx may be dout.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 12 bytes per element.
     * <br>Throws: as all ops; IllegalArgumentException if V &gt; Vp.
     * <br>Source: derivative of the forward op.
     */
    void softmaxBackward(Tensor dx, Tensor dout, Tensor out, long N, long V, long Vp);

    /**
     * Fused softmax and cross-entropy, loss only.
     *
     * <p>Computes, over v &lt; V and in nats: with {@code lse = log Σ_v exp(logits[n][v])}: {@code losses[n] = lse -
     * (1-labelSmoothing) · logits[n][targets[n]] - labelSmoothing · Σ_v logits[n][v] / V + zLoss · lse²}. With both
     * scalars 0, as for evaluation, this is the negative log-likelihood. Label smoothing moves that share of the
     * target's probability evenly onto all V classes; z-loss keeps lse near 0, so that logits do not drift.
     * <br>Shapes: losses (N), logits (N,Vp), targets (N).
     * <br>Types: logits activations; losses F32; targets I32.
     * <br>Writes: losses.
     * <br>Edge: a target of -1 (ignore) gives 0. Any other target outside 0…V-1 is an IllegalArgumentException that
     * names its index. The padding is not looked at. A logit of minus infinity has probability 0; with label smoothing,
     * which wants it to have some, the loss is then infinite.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 4 bytes per logit.
     * <br>Throws: as all ops; IllegalArgumentException unless 0 &lt;= labelSmoothing &lt;= 1 and zLoss is finite and
     * not negative.
     * <br>Source: Szegedy et al. 2016, section 7 (label smoothing); Chowdhery et al. 2022 (PaLM), section 5 (z-loss).
     */
    void crossEntropyForward(
            Tensor losses, Tensor logits, Tensor targets, long N, long V, long Vp, float labelSmoothing, float zLoss);

    /**
     * Fused softmax and cross-entropy, loss and gradient in one pass.
     *
     * <p>Computes: losses as {@link #crossEntropyForward} with the same scalars, and their gradient times scale: {@code
     * dlogits[n][v] = (softmax(logits[n])[v] · (1 + 2·zLoss·lse) - (1-labelSmoothing) · [v = targets[n]] -
     * labelSmoothing/V) · scale}.
     * <br>Shapes: losses (N), dlogits, logits (N,Vp), targets (N).
     * <br>Types: logits and dlogits activations; losses F32; targets I32.
     * <br>Writes: losses, dlogits.
     * <br>Edge: dlogits may be logits. An ignored row (-1) and the padding have gradient 0. Targets as in the forward
     * op.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 8 bytes per logit.
     * <br>Throws: as the forward op.
     * <br>Source: derivative of the forward op.
     */
    void crossEntropyBackward(
            Tensor losses, Tensor dlogits, Tensor logits, Tensor targets, long N, long V, long Vp, float scale,
            float labelSmoothing, float zLoss);

    // ---- sampling ---------------------------------------------------------------------------------------------

    /**
     * Draws the next token of each sequence: temperature first, then top-k, then top-p, each on what the one before
     * left.
     *
     * <p>Computes, per row b: with temperature 0 or topK 1 the first of the largest logits. Else with weights that are
     * whole numbers, {@code w[v] = rint(2⁴⁰ · exp((logits[b][v] - largest) / temperature))}: where 0 &lt; topK &lt; V,
     * tokens with a logit below the topK-th largest get 0; where topP &lt; 1, only the first tokens in falling order of
     * logits, ties by rising id, keep theirs, as many as it takes to have ceil(topP · Σw) together; tokens[b] is then
     * the first id at which the running sum of w exceeds {@code floor(u · Σw)}, u being
     * {@link org.licorne.random.Philox#uniform uniform}{@code (seed, streams[b], positions[b])}.
     * <br>Shapes: tokens, streams, positions (B); logits (B,Vp), of which the first V of each row count.
     * <br>Types: logits activations; the rest I32. The exponential and its argument are double precision.
     * <br>Writes: tokens, workspace.
     * <br>Edge: a position of -1 gives token 0, and its logits are not looked at; any other below 0 is an
     * IllegalArgumentException. A NaN in a row, or a largest logit that is infinite, is an ArithmeticException that
     * names the row (a device backend may report it at the next synchronisation); its token is then 0. A logit of minus
     * infinity is never drawn, nor is one with less than 2⁻⁴¹ of the largest's probability.
     * <br>Repeat: the same tokens on every backend and for any number of threads, from the same logits: the exponential
     * is a fixed sequence of rounded operations, and sums of whole numbers do not depend on their order. It errs by
     * 8·10⁻¹⁴, so a token differs from what exact arithmetic draws less than once in 10⁹ times.
     * <br>Cost: reads the logits two to four times, one exponential each.
     * <br>Throws: as all ops; IllegalArgumentException unless 1 &lt;= V &lt;= Vp and V &lt;= 2²² where B &gt; 0,
     * temperature is finite and not negative, topK not negative, and 0 &lt; topP &lt;= 1.
     * <br>Source: Fan et al. 2018, section 5 (top-k); Holtzman et al. 2020, section 3.1 (top-p).
     */
    void sample(
            Tensor tokens, Tensor logits, Tensor streams, Tensor positions, Tensor workspace, long B, long V, long Vp,
            double temperature, long topK, double topP, long seed);

    /** Bytes of workspace that {@link #sample} wants. */
    long sampleWorkspaceBytes(long B, long V);

    // ---- optimiser --------------------------------------------------------------------------------------------

    /**
     * Euclidean norm of all gradients.
     *
     * <p>Computes: {@code out[0] = sqrt(Σ x²)}.
     * <br>Shapes: out (1); x: any.
     * <br>Types: F32; sums are carried in double precision.
     * <br>Writes: out, workspace.
     * <br>Edge: NaN or infinity in x gives a non-finite norm.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 4 bytes per element.
     * <br>Throws: as all ops.
     * <br>Source: Pascanu et al. 2013.
     */
    void globalNorm(Tensor out, Tensor x, Tensor workspace);

    /** Bytes of workspace that {@link #globalNorm} wants for that many elements. */
    long globalNormWorkspaceBytes(long elements);

    /**
     * One AdamW step, unless the gradients are beyond use.
     *
     * <p>Computes, where {@code norm[0]} is finite and at most largestNorm: {@code g = gradients · min(1, maxNorm /
     * norm[0])} (g = gradients without norm), {@code m = β₁m + (1-β₁)g}, {@code v = β₂v + (1-β₂)g²}, {@code m̂ =
     * m/(1-β₁^step)}, {@code v̂ = v/(1-β₂^step)}, {@code parameters -= learningRate · (m̂ / (sqrt(v̂) + epsilon) +
     * weightDecay · parameters)}, {@code weights = parameters}, rounded.
     * <br>Shapes: parameters, weights, m, v, gradients: the same number of elements; norm (1).
     * <br>Types: F32; weights activations.
     * <br>Writes: parameters, weights, m, v; none of them where the norm is NaN, infinite, or above largestNorm. The
     * device decides that by itself, so that whoever issues the step need not wait for the norm.
     * <br>Edge: weights may be null, and must be where activations are F32: ops then read the parameters. norm may be
     * null (the step is taken, without clipping; maxNorm and largestNorm are then not looked at). An infinite maxNorm
     * clips nothing. step counts from 1. A step that wrote nothing counts as well, since its fate is not known when the
     * next one is issued; the corrections that follow forget it like {@code β^step}.
     * <br>Repeat: bit-identical, for any number of threads.
     * <br>Cost: 28 bytes per parameter, 30 with weights in BF16.
     * <br>Throws: as all ops; IllegalArgumentException if step &lt; 1, or if maxNorm or largestNorm is NaN or negative.
     * <br>Source: Loshchilov and Hutter 2019, algorithm 2; Kingma and Ba 2015.
     */
    void adamw(
            Tensor parameters, Tensor weights, Tensor m, Tensor v, Tensor gradients, Tensor norm, float learningRate,
            float beta1, float beta2, float epsilon, float weightDecay, float maxNorm, float largestNorm, long step);
}
