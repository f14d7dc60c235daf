package org.licorne.text;

import java.util.Arrays;
import java.util.PriorityQueue;

/** The merges of a BPE: which two neighbours join to which token, and in which order. Immutable, thread-safe. */
final class Merges {
    /** Up to this many symbols a scan for the best pair beats a heap; both give the same tokens. */
    private static final int SCAN_LIMIT = 48;

    private static final int ABSENT = -1;

    private final long[] keys;
    private final int[] ranks;
    private final int mask;
    private final int[] left;
    private final int[] right;
    private final int[] merged;

    /** Merge r joins left[r] and right[r] to merged[r]; a lower r goes first. */
    Merges(int[] left, int[] right, int[] merged) {
        this.left = left;
        this.right = right;
        this.merged = merged;
        int capacity = Integer.highestOneBit(Math.max(16, left.length * 2)) * 2;
        keys = new long[capacity];
        ranks = new int[capacity];
        mask = capacity - 1;
        Arrays.fill(ranks, ABSENT);
        for (int rank = 0; rank < left.length; rank++) {
            int slot = slot(key(left[rank], right[rank]));
            if (ranks[slot] == ABSENT) { // a pair that is listed twice counts where it stands first
                keys[slot] = key(left[rank], right[rank]);
                ranks[slot] = rank;
            }
        }
    }

    int count() {
        return left.length;
    }

    int left(int rank) {
        return left[rank];
    }

    int right(int rank) {
        return right[rank];
    }

    private static long key(int left, int right) {
        return (long) left << 32 | right;
    }

    private int slot(long key) {
        long mixed = key * 0x9E3779B97F4A7C15L;
        int slot = (int) (mixed >>> 32) & mask;
        while (ranks[slot] != ABSENT && keys[slot] != key) {
            slot = (slot + 1) & mask;
        }
        return slot;
    }

    private int rank(int leftToken, int rightToken) {
        return ranks[slot(key(leftToken, rightToken))];
    }

    /** Merges the first {@code length} symbols in place and returns how many are left. */
    int apply(int[] symbols, int length) {
        return length <= SCAN_LIMIT ? scan(symbols, length) : heap(symbols, length);
    }

    int scan(int[] symbols, int length) {
        int n = length;
        while (n > 1) {
            int best = Integer.MAX_VALUE;
            int at = -1;
            for (int i = 0; i + 1 < n; i++) {
                int rank = rank(symbols[i], symbols[i + 1]);
                if (rank != ABSENT && rank < best) {
                    best = rank;
                    at = i;
                }
            }
            if (at < 0) {
                break;
            }
            symbols[at] = merged[best];
            System.arraycopy(symbols, at + 2, symbols, at + 1, n - at - 2);
            n--;
        }
        return n;
    }

    /** n log n for long words: candidates wait in a heap, and one that is out of date is dropped when it comes up. */
    int heap(int[] symbols, int length) {
        int[] next = new int[length];
        int[] previous = new int[length];
        PriorityQueue<Long> candidates = new PriorityQueue<>();
        for (int i = 0; i < length; i++) {
            next[i] = i + 1;
            previous[i] = i - 1;
        }
        for (int i = 0; i + 1 < length; i++) {
            offer(candidates, symbols, i, i + 1);
        }
        while (!candidates.isEmpty()) {
            long candidate = candidates.poll();
            int rank = (int) (candidate >>> 32);
            int i = (int) candidate;
            int j = symbols[i] < 0 ? length : next[i];
            if (j >= length || rank(symbols[i], symbols[j]) != rank) {
                continue;
            }
            symbols[i] = merged[rank];
            symbols[j] = ABSENT;
            next[i] = next[j];
            if (next[i] < length) {
                previous[next[i]] = i;
                offer(candidates, symbols, i, next[i]);
            }
            if (previous[i] >= 0) {
                offer(candidates, symbols, previous[i], i);
            }
        }
        int n = 0;
        for (int i = 0; i < length; i = next[i]) {
            symbols[n++] = symbols[i];
        }
        return n;
    }

    private void offer(PriorityQueue<Long> candidates, int[] symbols, int i, int j) {
        int rank = rank(symbols[i], symbols[j]);
        if (rank != ABSENT) {
            candidates.add((long) rank << 32 | i);
        }
    }
}
