package org.licorne.text;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.licorne.tokenize.Tokenizer;

/** Encodes a corpus on several threads and hands the tokens on in the order of the text. */
final class CorpusEncoder {
    private static final int BATCH_CHARS = 1 << 19;

    private CorpusEncoder() {}

    /** Takes the tokens of one piece. */
    interface Sink {
        void piece(boolean beginsDocument, int[] tokens);
    }

    private record Encoded(boolean beginsDocument, int[] tokens) {}

    static void encode(Tokenizer tokenizer, Iterator<TextPiece> pieces, int threads, Sink sink) {
        ParallelMap.forEach(
                batches(pieces),
                batch -> {
                    List<Encoded> encoded = new ArrayList<>(batch.size());
                    for (TextPiece piece : batch) {
                        encoded.add(new Encoded(piece.beginsDocument(), tokenizer.encode(piece.text())));
                    }
                    return encoded;
                },
                encoded -> encoded.forEach(piece -> sink.piece(piece.beginsDocument(), piece.tokens())),
                threads);
    }

    private static Iterator<List<TextPiece>> batches(Iterator<TextPiece> pieces) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return pieces.hasNext();
            }

            @Override
            public List<TextPiece> next() {
                if (!pieces.hasNext()) {
                    throw new NoSuchElementException();
                }
                List<TextPiece> batch = new ArrayList<>();
                for (int chars = 0; chars < BATCH_CHARS && pieces.hasNext(); ) {
                    TextPiece piece = pieces.next();
                    batch.add(piece);
                    chars += piece.text().length();
                }
                return batch;
            }
        };
    }
}
