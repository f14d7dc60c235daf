package org.licorne.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class WordNetCorpusTest {
    @Test
    void hasOneDocumentPerSynset() {
        WordNetCorpus corpus = WordNetCorpus.load(1);
        int documents = corpus.training().size() + corpus.heldOut().size();
        assertThat(documents).isBetween(117_000, 118_500);
        assertThat((double) corpus.heldOut().size() / documents).isBetween(0.018, 0.022);
        assertThat(corpus.training())
                .contains(
                        "unicorn: an imaginary creature represented as a white horse with a long horn growing from its"
                                + " forehead")
                .allMatch(document -> document.indexOf(": ") > 0 && document.indexOf('\n') < 0);
    }

    @Test
    void theSeedOrdersTheDocumentsAndHoldsNoneOutDifferently() {
        WordNetCorpus one = WordNetCorpus.load(1);
        assertThat(WordNetCorpus.load(1).training()).isEqualTo(one.training());
        WordNetCorpus two = WordNetCorpus.load(2);
        assertThat(two.training()).isNotEqualTo(one.training()).hasSameSizeAs(one.training());
        Set<String> heldOut = new HashSet<>(one.heldOut());
        assertThat(new HashSet<>(two.heldOut())).isEqualTo(heldOut);
    }

    @Test
    void readsALineOfTheDataFile() {
        assertThat(WordNetCorpus.document("00015567 00 a 02 galore(ip) 0 in_plenty(p) 1 000 | existing in  abundance;"
                        + " \"whiskey galore\"  "))
                .isEqualTo("galore, in plenty: existing in abundance; \"whiskey galore\"");
        assertThatThrownBy(() -> WordNetCorpus.document("00015567 00 a 02 galore"))
                .hasMessageContaining("no gloss");
    }
}
