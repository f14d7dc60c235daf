package org.licorne.text;

import java.util.Iterator;

/**
 * A stretch of text: a whole document, or part of one that is too long to hold at once.
 *
 * @param text not empty
 * @param beginsDocument false when it goes on where the piece before it ended
 */
public record TextPiece(String text, boolean beginsDocument) {
    /** Each text as a document of its own. */
    public static Iterable<TextPiece> documents(Iterable<String> texts) {
        return () -> {
            Iterator<String> each = texts.iterator();
            return new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return each.hasNext();
                }

                @Override
                public TextPiece next() {
                    return new TextPiece(each.next(), true);
                }
            };
        };
    }
}
