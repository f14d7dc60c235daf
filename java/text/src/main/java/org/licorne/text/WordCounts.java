package org.licorne.text;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;

/** Counts the words of a corpus, several batches of text at a time. */
final class WordCounts {
    private static final int BATCH_CHARS = 1 << 20;

    private WordCounts() {}

    static Map<String, long[]> count(Iterable<String> texts, int threads) {
        Map<String, long[]> counts = new HashMap<>();
        ParallelMap.forEach(
                batches(texts.iterator()),
                WordCounts::countBatch,
                batch -> batch.forEach((word, count) -> counts.merge(word, count, (a, b) -> {
                    a[0] += b[0];
                    return a;
                })),
                threads);
        return counts;
    }

    private static Map<String, long[]> countBatch(List<String> texts) {
        Map<String, long[]> counts = new HashMap<>();
        for (String text : texts) {
            String wellFormed = TokenText.wellFormed(text);
            for (int start = 0; start < wellFormed.length(); ) {
                int end = PreTokenizer.end(wellFormed, start);
                counts.computeIfAbsent(wellFormed.substring(start, end), word -> new long[1])[0]++;
                start = end;
            }
        }
        return counts;
    }

    /** Texts in groups of about a megabyte: enough work for a thread, little enough to keep a few in memory. */
    private static Iterator<List<String>> batches(Iterator<String> texts) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return texts.hasNext();
            }

            @Override
            public List<String> next() {
                if (!texts.hasNext()) {
                    throw new NoSuchElementException();
                }
                List<String> batch = new ArrayList<>();
                for (int chars = 0; chars < BATCH_CHARS && texts.hasNext(); ) {
                    String text = texts.next();
                    batch.add(text);
                    chars += text.length();
                }
                return batch;
            }
        };
    }
}
