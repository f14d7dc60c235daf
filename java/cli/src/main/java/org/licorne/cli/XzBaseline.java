package org.licorne.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.UnsupportedOptionsException;
import org.tukaani.xz.XZOutputStream;

/**
 * What {@code xz -9} needs for a text after having seen another: the size of both compressed together less that of the
 * first alone. A language model predicts the next token from what it learnt, a compressor does the same from what it
 * remembers, so this is the figure to beat.
 */
final class XzBaseline {
    private static final int SMALLEST_DICTIONARY = 1 << 16;
    private static final int LARGEST_DICTIONARY = 64 << 20; // that of xz -9

    private XzBaseline() {}

    /** Bits that xz needs per byte of {@code held}, given {@code seen}. */
    static double bitsPerByte(String seen, String held) {
        byte[] first = seen.getBytes(StandardCharsets.UTF_8);
        byte[] second = held.getBytes(StandardCharsets.UTF_8);
        if (second.length == 0) {
            throw new IllegalArgumentException("there is no held-out text to compress");
        }
        return 8.0 * (compressedBytes(first, second) - compressedBytes(first)) / second.length;
    }

    private static long compressedBytes(byte[]... texts) {
        CountingStream counter = new CountingStream();
        try (XZOutputStream xz = new XZOutputStream(counter, options(texts))) {
            for (byte[] text : texts) {
                xz.write(text);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e); // nothing here touches a file
        }
        return counter.bytes;
    }

    /** xz -9; a dictionary beyond the text's size would only take memory, and changes nothing. */
    private static LZMA2Options options(byte[]... texts) throws UnsupportedOptionsException {
        long total = 0;
        for (byte[] text : texts) {
            total += text.length;
        }
        int dictionary = SMALLEST_DICTIONARY;
        while (dictionary < total && dictionary < LARGEST_DICTIONARY) {
            dictionary *= 2;
        }
        LZMA2Options options = new LZMA2Options(LZMA2Options.PRESET_MAX);
        options.setDictSize(dictionary);
        return options;
    }

    private static final class CountingStream extends OutputStream {
        private long bytes;

        @Override
        public void write(int value) {
            bytes++;
        }

        @Override
        public void write(byte[] values, int offset, int length) {
            bytes += length;
        }
    }
}
