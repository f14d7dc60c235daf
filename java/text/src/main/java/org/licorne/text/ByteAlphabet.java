package org.licorne.text;

import java.util.Arrays;

/**
 * The 256 characters that stand for the 256 bytes in a byte-level vocabulary file: a printable Latin-1 character for
 * itself, U+0100 onwards for the other bytes in ascending order. Ids of the bytes follow the same order, as in GPT-2.
 */
final class ByteAlphabet {
    /** Bytes in the order of their ids: those that stand for themselves, then the others. */
    static final byte[] ORDER = new byte[256];

    private static final char[] CHARACTERS = new char[256];
    private static final short[] BYTES = new short[256 + 68];

    static {
        Arrays.fill(BYTES, (short) -1);
        int id = 0;
        for (int b = 0; b < 256; b++) {
            if (standsForItself(b)) {
                CHARACTERS[b] = (char) b;
                ORDER[id++] = (byte) b;
            }
        }
        int others = 0;
        for (int b = 0; b < 256; b++) {
            if (!standsForItself(b)) {
                CHARACTERS[b] = (char) (256 + others++);
                ORDER[id++] = (byte) b;
            }
        }
        for (int b = 0; b < 256; b++) {
            BYTES[CHARACTERS[b]] = (short) b;
        }
    }

    private ByteAlphabet() {}

    private static boolean standsForItself(int b) {
        return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    }

    static String characters(byte[] bytes) {
        StringBuilder characters = new StringBuilder(bytes.length);
        for (byte b : bytes) {
            characters.append(CHARACTERS[b & 0xFF]);
        }
        return characters.toString();
    }

    /** The bytes that these characters stand for, or null when one of them stands for none. */
    static byte[] bytes(String characters) {
        byte[] bytes = new byte[characters.length()];
        for (int i = 0; i < bytes.length; i++) {
            char c = characters.charAt(i);
            if (c >= BYTES.length || BYTES[c] < 0) {
                return null;
            }
            bytes[i] = (byte) BYTES[c];
        }
        return bytes;
    }
}
