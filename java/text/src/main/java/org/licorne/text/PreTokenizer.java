package org.licorne.text;

/**
 * Cuts text into the words that byte-level BPE never merges across, by the rule of GPT-2's regular expression:
 *
 * <pre>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</pre>
 *
 * <p>Written out as a scanner, because it is the inner loop of training and encoding and must not depend on the JDK's
 * Unicode version.
 */
final class PreTokenizer {
    private PreTokenizer() {}

    /**
     * End of the word that starts at {@code start} (a char index, below the length). The text has no lone surrogates.
     */
    static int end(String text, int start) {
        int length = text.length();
        int first = text.codePointAt(start);
        if (first == '\'') {
            int contraction = contraction(text, start + 1, length);
            if (contraction > 0) {
                return start + 1 + contraction;
            }
        }
        int from = start;
        byte kind = CharacterClasses.of(first);
        if (first == ' ' && start + 1 < length) {
            byte next = CharacterClasses.of(text.codePointAt(start + 1));
            if (next != CharacterClasses.SPACE) {
                from = start + 1;
                kind = next;
            }
        }
        int end = from;
        while (end < length) {
            int codePoint = text.codePointAt(end);
            if (CharacterClasses.of(codePoint) != kind) {
                break;
            }
            end += Character.charCount(codePoint);
        }
        if (kind == CharacterClasses.SPACE && end < length && end - start > 1) {
            return end - 1; // the last white space belongs to what follows; all of them are single chars
        }
        return end;
    }

    private static int contraction(String text, int at, int length) {
        if (at >= length) {
            return 0;
        }
        char c = text.charAt(at);
        if (c == 's' || c == 't' || c == 'm' || c == 'd') {
            return 1;
        }
        if (at + 1 < length) {
            char d = text.charAt(at + 1);
            if ((c == 'r' && d == 'e') || (c == 'v' && d == 'e') || (c == 'l' && d == 'l')) {
                return 2;
            }
        }
        return 0;
    }
}
