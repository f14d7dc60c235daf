package org.licorne.text;

import java.nio.file.Path;

/**
 * Cuts the text of one file into documents, and a long document into pieces where no tokenizer would join across the
 * cut: between a line feed and a character that is no white space. Whoever opens it closes it; not thread-safe.
 */
final class DocumentReader implements AutoCloseable {
    /** A document is handed on in pieces when it is longer than this. */
    static final int PIECE_CHARS = 1 << 20;

    private static final String MARKER = ByteLevelBpeTokenizer.END_OF_TEXT;

    private final Utf8Reader reader;
    private final TextFiles.Split split;
    private final StringBuilder pending = new StringBuilder();
    private int begin;
    private int searched;
    private boolean atEnd;
    private boolean withinDocument;

    DocumentReader(Path file, TextFiles.Split split) {
        this.reader = new Utf8Reader(file);
        this.split = split;
    }

    /** The next piece, or null at the end of the file. */
    TextPiece next() {
        while (true) {
            Separator separator = separator();
            TextPiece piece = null;
            if (separator != null) {
                piece = lastPiece(pending.substring(begin, separator.start));
                begin = separator.end;
                searched = begin;
            } else if (atEnd) {
                piece = lastPiece(pending.substring(begin));
                begin = pending.length();
                searched = begin;
                if (piece == null) {
                    return null;
                }
            } else if (pending.length() - begin > PIECE_CHARS + MARKER.length()) {
                piece = cut();
            } else {
                pending.delete(0, begin);
                searched -= begin;
                begin = 0;
                atEnd = !reader.read(pending);
            }
            if (piece != null) {
                return piece;
            }
        }
    }

    private record Separator(int start, int end) {}

    /** The first separator that is surely whole, searching on from where the last search ended. */
    private Separator separator() {
        int marker = pending.indexOf(MARKER, searched);
        int tail = Math.max(searched, pending.length() - MARKER.length() + 1); // a marker may have begun behind this
        if (split == TextFiles.Split.BLANK_LINE) {
            int limit = marker < 0 ? pending.length() : marker;
            for (int i = searched; i < limit; i++) {
                if (pending.charAt(i) != '\n') {
                    continue;
                }
                int last = i;
                int end = i + 1;
                while (end < limit && isWhiteSpace(pending.charAt(end))) {
                    if (pending.charAt(end) == '\n') {
                        last = end;
                    }
                    end++;
                }
                if (end == pending.length() && !atEnd) {
                    searched = Math.min(i, tail); // the blank line may go on in what is not read yet
                    return null;
                }
                if (last > i) {
                    return new Separator(i, last + 1);
                }
                i = end - 1;
            }
        }
        if (marker >= 0) {
            return new Separator(marker, marker + MARKER.length());
        }
        searched = tail;
        return null;
    }

    private static boolean isWhiteSpace(char c) {
        return c == '\n' || c == '\r' || c == ' ' || c == '\t';
    }

    /** The end of a document, or null when nothing is in it. */
    private TextPiece lastPiece(String text) {
        int end = text.length();
        while (end > 0 && isLineBreak(text.charAt(end - 1))) {
            end--;
        }
        boolean begins = !withinDocument;
        withinDocument = false;
        return piece(text.substring(0, end), begins);
    }

    /** Part of a long document. */
    private TextPiece cut() {
        int limit = begin + PIECE_CHARS;
        int at = limit;
        while (at > begin + PIECE_CHARS / 2 && !(pending.charAt(at - 1) == '\n' && !isSpace(pending.charAt(at)))) {
            at--;
        }
        if (at == begin + PIECE_CHARS / 2) {
            at = limit; // no line ends here: cut before a single blank, which goes with the word behind it
            while (at > begin + PIECE_CHARS / 2 && !isBlankBetweenWords(at)) {
                at--;
            }
        }
        if (at == begin + PIECE_CHARS / 2) {
            at = Character.isLowSurrogate(pending.charAt(limit)) ? limit - 1 : limit;
        }
        TextPiece piece = piece(pending.substring(begin, at), !withinDocument);
        withinDocument |= piece != null;
        begin = at;
        searched = Math.max(searched, begin);
        return piece;
    }

    private boolean isBlankBetweenWords(int at) {
        return pending.charAt(at) == ' ' && !isSpace(pending.charAt(at - 1)) && !isSpace(pending.charAt(at + 1));
    }

    private static boolean isSpace(char c) {
        return CharacterClasses.of(c) == CharacterClasses.SPACE;
    }

    private static TextPiece piece(String text, boolean beginsDocument) {
        int start = 0;
        while (beginsDocument && start < text.length() && isLineBreak(text.charAt(start))) {
            start++;
        }
        boolean nothing = beginsDocument ? text.isBlank() : text.isEmpty();
        return nothing ? null : new TextPiece(text.substring(start), beginsDocument);
    }

    private static boolean isLineBreak(char c) {
        return c == '\n' || c == '\r';
    }

    @Override
    public void close() {
        reader.close();
    }
}
