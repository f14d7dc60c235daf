package org.licorne.generate;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.function.Consumer;

/**
 * Turns the bytes of tokens into text as they come: half a character waits for its other half, and what may be the
 * beginning of a stop string waits until it is clear that it is none. Not thread-safe.
 */
final class TextStream {
    private static final int LONGEST_CHARACTER = 4;

    private final List<String> stopStrings;
    private final Consumer<String> pieces;
    private final CharsetDecoder decoder = StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPLACE)
            .onUnmappableCharacter(CodingErrorAction.REPLACE);
    private final StringBuilder text = new StringBuilder();
    private ByteBuffer pending = ByteBuffer.allocate(64);
    private CharBuffer decoded = CharBuffer.allocate(64);
    private int emitted;
    private boolean stopped;

    TextStream(List<String> stopStrings, Consumer<String> pieces) {
        this.stopStrings = stopStrings;
        this.pieces = pieces;
    }

    /** Takes a token's bytes. @return whether the text is complete, since a stop string was reached */
    boolean accept(byte[] bytes) {
        if (!stopped) {
            decode(bytes, false);
            advance(false);
        }
        return stopped;
    }

    /** There is nothing more: half a character becomes U+FFFD, and what was held back is released. */
    void finish() {
        if (!stopped) {
            decode(new byte[0], true);
            advance(true);
        }
    }

    /** What was released so far. */
    String text() {
        return text.substring(0, emitted);
    }

    private void decode(byte[] bytes, boolean last) {
        int size = pending.position() + bytes.length + LONGEST_CHARACTER;
        if (pending.capacity() < size) {
            ByteBuffer larger = ByteBuffer.allocate(2 * size);
            larger.put(pending.flip());
            pending = larger;
            decoded = CharBuffer.allocate(2 * size);
        }
        pending.put(bytes).flip();
        decoded.clear();
        decoder.decode(pending, decoded, last);
        if (last) {
            decoder.flush(decoded);
        }
        pending.compact();
        text.append(decoded.flip());
    }

    private void advance(boolean last) {
        int end = text.length();
        for (String stop : stopStrings) {
            int found = text.indexOf(stop, emitted);
            if (found >= 0 && found < end) {
                end = found;
                stopped = true;
            }
        }
        if (!stopped && !last) {
            end -= longestBeginning();
        }
        if (stopped) {
            text.setLength(end);
        }
        if (end > emitted) {
            String piece = text.substring(emitted, end);
            emitted = end;
            pieces.accept(piece);
        }
    }

    /** How many of the last characters are the beginning of a stop string. */
    private int longestBeginning() {
        int longest = 0;
        for (String stop : stopStrings) {
            for (int length = Math.min(stop.length() - 1, text.length() - emitted); length > longest; length--) {
                if (stop.startsWith(text.substring(text.length() - length))) {
                    longest = length;
                }
            }
        }
        return longest;
    }
}
