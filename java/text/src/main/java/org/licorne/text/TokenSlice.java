package org.licorne.text;

/**
 * A run of tokens of another store, as a store. Immutable and thread-safe; whoever owns the other store closes it.
 *
 * <p>{@link #split} is how a corpus without held-out text of its own gets some.
 */
public final class TokenSlice implements TokenStore {
    /** With fewer documents than this, the end of the text is held out wherever it falls within a document. */
    private static final int FEWEST_DOCUMENTS = 50;

    private final TokenStore store;
    private final long from;
    private final long to;
    private final long firstDocument;
    private final long documents;

    private TokenSlice(TokenStore store, long from, long to) {
        this.store = store;
        this.from = from;
        this.to = to;
        this.firstDocument = documentAt(store, from);
        this.documents = to == from ? 0 : documentAt(store, to - 1) - firstDocument + 1;
    }

    /** A store cut in two. */
    public record Split(TokenStore training, TokenStore heldOut) {}

    /**
     * Holds out the end: whole documents when there are many of them, else a part of the last. The fraction of a text
     * too small to spare a token leaves nothing held out.
     */
    public static Split split(TokenStore store, double heldOutFraction) {
        if (!(heldOutFraction >= 0 && heldOutFraction < 1)) {
            throw new IllegalArgumentException("the held-out fraction is " + heldOutFraction + ", not in 0 to 1");
        }
        long cut = store.tokens() - (long) (store.tokens() * heldOutFraction);
        if (store.documents() >= FEWEST_DOCUMENTS && cut < store.tokens()) {
            cut = Math.max(store.documentStart(1), store.documentStart(documentAt(store, cut)));
        }
        return new Split(new TokenSlice(store, 0, cut), new TokenSlice(store, cut, store.tokens()));
    }

    /** The document that a position lies in. */
    private static long documentAt(TokenStore store, long position) {
        long low = 0;
        long high = store.documents() - 1;
        while (low < high) {
            long middle = (low + high + 1) >>> 1;
            if (store.documentStart(middle) <= position) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        return low;
    }

    @Override
    public long tokens() {
        return to - from;
    }

    @Override
    public void read(long position, int[] destination, int offset, int length) {
        if (position < 0 || length < 0 || position + length > to - from) {
            throw new IndexOutOfBoundsException(
                    "tokens " + position + " to " + (position + length) + " of " + (to - from));
        }
        store.read(from + position, destination, offset, length);
    }

    @Override
    public long documents() {
        return documents;
    }

    @Override
    public long documentStart(long document) {
        if (document == documents) {
            return to - from;
        }
        return Math.max(0, store.documentStart(firstDocument + document) - from);
    }

    @Override
    public int vocabularySize() {
        return store.vocabularySize();
    }

    @Override
    public int beginOfSentence() {
        return store.beginOfSentence();
    }

    @Override
    public String fingerprint() {
        return store.fingerprint() + "[" + from + "," + to + ")";
    }
}
