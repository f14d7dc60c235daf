package org.licorne.generate;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.AlphaChars;
import net.jqwik.api.constraints.CharRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;

class TextStreamTest {
    private final List<String> pieces = new ArrayList<>();

    private TextStream stream(String... stops) {
        return new TextStream(List.of(stops), pieces::add);
    }

    /** Feeds the bytes in parts of the given lengths. */
    private static void feed(TextStream stream, byte[] bytes, List<Integer> lengths) {
        int from = 0;
        for (int i = 0; from < bytes.length; i++) {
            int length = lengths.isEmpty() ? 1 : lengths.get(i % lengths.size());
            int to = Math.min(bytes.length, from + length);
            stream.accept(Arrays.copyOfRange(bytes, from, to));
            from = to;
        }
        stream.finish();
    }

    @Property(tries = 500)
    void anySplitOfTextGivesTheText(
            @ForAll String text, @ForAll @Size(max = 20) List<@IntRange(min = 1, max = 5) Integer> lengths) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8); // lone surrogates become question marks here
        List<String> heard = new ArrayList<>();
        TextStream stream = new TextStream(List.of(), heard::add);
        feed(stream, bytes, lengths);
        String whole = new String(bytes, StandardCharsets.UTF_8);
        assertThat(stream.text()).isEqualTo(whole);
        assertThat(String.join("", heard)).isEqualTo(whole);
        for (String piece : heard) {
            assertThat(piece).isNotEmpty();
            assertThat(Character.isLowSurrogate(piece.charAt(0))).isFalse();
            assertThat(Character.isHighSurrogate(piece.charAt(piece.length() - 1)))
                    .isFalse();
        }
    }

    @Property(tries = 500)
    void anySplitOfGarbageGivesWhatDecodingAtOnceGives(
            @ForAll byte[] bytes, @ForAll @Size(max = 20) List<@IntRange(min = 1, max = 5) Integer> lengths) {
        TextStream stream = new TextStream(List.of(), piece -> {});
        feed(stream, bytes, lengths);
        assertThat(stream.text()).isEqualTo(new String(bytes, StandardCharsets.UTF_8));
    }

    @Property(tries = 500)
    void noPartOfAStopStringIsEverSeen(
            @ForAll @CharRange(from = 'a', to = 'c') @StringLength(max = 30) String text,
            @ForAll @CharRange(from = 'a', to = 'c') @StringLength(min = 1, max = 4) String stop,
            @ForAll @CharRange(from = 'a', to = 'c') @StringLength(min = 1, max = 4) String other,
            @ForAll @Size(max = 20) List<@IntRange(min = 1, max = 5) Integer> lengths) {
        List<String> heard = new ArrayList<>();
        TextStream stream = new TextStream(List.of(stop, other), heard::add);
        int from = 0;
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        boolean stopped = false;
        for (int i = 0; from < bytes.length && !stopped; i++) {
            int to = Math.min(bytes.length, from + (lengths.isEmpty() ? 1 : lengths.get(i % lengths.size())));
            stopped = stream.accept(Arrays.copyOfRange(bytes, from, to));
            from = to;
        }
        stream.finish();
        String seen = text.substring(0, from);
        int first = first(seen, stop, other);
        assertThat(stopped).isEqualTo(first >= 0);
        assertThat(stream.text()).isEqualTo(first < 0 ? seen : seen.substring(0, first));
        assertThat(String.join("", heard)).isEqualTo(stream.text());
    }

    private static int first(String text, String stop, String other) {
        int a = text.indexOf(stop);
        int b = text.indexOf(other);
        return a < 0 ? b : b < 0 ? a : Math.min(a, b);
    }

    @Test
    void holdsBackOnlyWhatMayBecomeAStopString() {
        TextStream stream = stream("\n\n");
        stream.accept("one\n".getBytes(StandardCharsets.UTF_8));
        assertThat(pieces).containsExactly("one");
        stream.accept("two".getBytes(StandardCharsets.UTF_8));
        assertThat(pieces).containsExactly("one", "\ntwo");
        assertThat(stream.accept("\n\nthree".getBytes(StandardCharsets.UTF_8))).isTrue();
        stream.finish();
        assertThat(stream.text()).isEqualTo("one\ntwo");
    }

    @Test
    void halfACharacterWaits() {
        TextStream stream = stream();
        byte[] bytes = "台".getBytes(StandardCharsets.UTF_8);
        stream.accept(new byte[] {bytes[0]});
        stream.accept(new byte[] {bytes[1]});
        assertThat(pieces).isEmpty();
        stream.accept(new byte[] {bytes[2], bytes[0]});
        assertThat(pieces).containsExactly("台");
        stream.finish();
        assertThat(stream.text()).isEqualTo("台\uFFFD");
    }

    @Property(tries = 50)
    void longTokensFit(@ForAll @AlphaChars @StringLength(min = 200, max = 500) String text) {
        TextStream stream = new TextStream(List.of(), piece -> {});
        stream.accept(text.getBytes(StandardCharsets.UTF_8));
        stream.finish();
        assertThat(stream.text()).isEqualTo(text);
    }
}
