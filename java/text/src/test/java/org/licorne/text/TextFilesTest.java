package org.licorne.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.domains.Domain;
import net.jqwik.api.domains.DomainContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.text.TextFiles.Split;

class TextFilesTest {
    @TempDir
    Path directory;

    private static List<String> documents(Path path, Split split) {
        List<String> documents = new ArrayList<>();
        for (TextPiece piece : TextFiles.of(List.of(path), split)) {
            if (piece.beginsDocument()) {
                documents.add(piece.text());
            } else {
                documents.set(documents.size() - 1, documents.get(documents.size() - 1) + piece.text());
            }
        }
        return documents;
    }

    private Path write(String name, String text) throws IOException {
        return Files.writeString(directory.resolve(name), text);
    }

    private static byte[] gzip(byte[] bytes) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(bytes);
        }
        return out.toByteArray();
    }

    @Test
    void aFileIsADocumentUnlessAMarkerEndsOne() throws IOException {
        assertThat(documents(write("a.txt", "\u53F0\u7063\u5927\u5B78\n"), Split.FILE))
                .containsExactly("\u53F0\u7063\u5927\u5B78");
        assertThat(documents(
                        write("b.txt", "one\n\ntwo\n<|endoftext|>\nthree<|endoftext|><|endoftext|>\n\n"), Split.FILE))
                .containsExactly("one\n\ntwo", "three");
        assertThat(documents(write("c.txt", "\uFEFFwith a mark"), Split.FILE)).containsExactly("with a mark");
    }

    @Test
    void paragraphsAreDocumentsWhenAsked() throws IOException {
        assertThat(documents(
                        write("a.txt", "\n\n one\nmore\n \t\n\n  two\r\n\r\nthree<|endoftext|>four\n"),
                        Split.BLANK_LINE))
                .containsExactly(" one\nmore", "  two", "three", "four");
    }

    @Property(tries = 300)
    @Domain(AnyText.class)
    @Domain(DomainContext.Global.class)
    void documentsDoNotDependOnHowTheFileIsRead(@ForAll String text, @ForAll boolean blankLines) throws IOException {
        Path file = Files.createTempFile("licorne", ".txt");
        try {
            // Enough filling that separators lie anywhere in the reader's chunks.
            String filling = "x".repeat(65_520 + Math.floorMod(text.hashCode(), 40));
            String wellFormed = TokenText.wellFormed(text);
            Files.writeString(file, filling + wellFormed);
            String separators = blankLines ? "<\\|endoftext\\|>|\n[ \t\r\n]*\n" : "<\\|endoftext\\|>";
            List<String> expected = Arrays.stream((filling + wellFormed).split(separators))
                    .map(d -> d.replaceAll("^[\r\n]+|[\r\n]+$", ""))
                    .filter(d -> !d.isBlank())
                    .toList();
            assertThat(documents(file, blankLines ? Split.BLANK_LINE : Split.FILE))
                    .isEqualTo(expected);
        } finally {
            Files.delete(file);
        }
    }

    @Test
    void longDocumentsComeInPiecesThatGiveTheSameTokens() throws IOException {
        StringBuilder text = new StringBuilder();
        Random random = new Random(1);
        List<String> lines = WordNetCorpus.load(1).training();
        while (text.length() < 3 * DocumentReader.PIECE_CHARS) {
            text.append(lines.get(random.nextInt(lines.size())));
            text.append(random.nextInt(3) == 0 ? "\n\n  " : "\n");
        }
        ByteLevelBpeTokenizer tokenizer = new ByteLevelBpeTrainer(800).train(lines.subList(0, 2000));
        for (String whole :
                List.of(text.toString().strip(), text.toString().strip().replace('\n', ' '))) {
            Path file = write("long.txt", whole);
            List<TextPiece> pieces = new ArrayList<>();
            TextFiles.of(List.of(file)).forEach(pieces::add);
            assertThat(pieces).hasSizeGreaterThan(2);
            assertThat(pieces.stream().filter(TextPiece::beginsDocument)).hasSize(1);
            TokenArray tokens = TokenArray.encode(tokenizer, pieces);
            int[] inPieces = new int[(int) tokens.tokens() - 1];
            tokens.read(1, inPieces, 0, inPieces.length);
            assertThat(inPieces).isEqualTo(tokenizer.encode(whole));
            assertThat(documents(file, Split.FILE)).containsExactly(whole);
        }
        String oneWord = "\uD83E\uDD84".repeat(DocumentReader.PIECE_CHARS);
        assertThat(documents(write("word.txt", oneWord), Split.FILE)).containsExactly(oneWord);
    }

    @Test
    void directoriesAreReadInOrderAndCompressedFilesToo() throws IOException {
        Files.createDirectories(directory.resolve("d/sub"));
        write("d/b.txt", "b");
        write("d/a.md", "a");
        write("d/.hidden.txt", "hidden");
        write("d/program.bin", "binary");
        Files.write(directory.resolve("d/sub/c.txt.gz"), gzip("c\u00E9".getBytes(StandardCharsets.UTF_8)));
        assertThat(documents(directory.resolve("d"), Split.FILE)).containsExactly("a", "b", "c\u00E9");
        assertThat(TextFiles.of(List.of(directory.resolve("d/program.bin"))).texts())
                .containsExactly("binary");
    }

    @Test
    void theFirstBadByteIsNamed() throws IOException {
        byte[] text = ("line one\nline two is \u00E9\n" + "x".repeat(70_000) + "\n").getBytes(StandardCharsets.UTF_8);
        byte[] bad = Arrays.copyOf(text, text.length + 3);
        bad[text.length] = 'c';
        bad[text.length + 1] = (byte) 0xE9;
        bad[text.length + 2] = 't';
        Path file = directory.resolve("latin.txt");
        Files.write(file, bad);
        assertThatThrownBy(() -> documents(file, Split.FILE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(file.toString())
                .hasMessageContaining("0xE9 at offset " + (text.length + 1) + " (line 4)");
        Path compressed = directory.resolve("latin.txt.gz");
        Files.write(compressed, gzip(bad));
        assertThatThrownBy(() -> documents(compressed, Split.FILE))
                .hasMessageContaining("0xE9 at offset " + (text.length + 1) + " of the uncompressed text (line 4)");
        Files.write(compressed, Arrays.copyOf(gzip(bad), 60));
        assertThatThrownBy(() -> documents(compressed, Split.FILE)).hasMessageContaining("not a whole gzip file");
        Path half = directory.resolve("half.txt");
        Files.write(half, Arrays.copyOf("ab\u53F0".getBytes(StandardCharsets.UTF_8), 4));
        assertThatThrownBy(() -> documents(half, Split.FILE)).hasMessageContaining("0xE5 at offset 2 (line 1)");
        Path utf16 = directory.resolve("utf16.txt");
        Files.write(utf16, "text".getBytes(StandardCharsets.UTF_16));
        assertThatThrownBy(() -> documents(utf16, Split.FILE)).hasMessageContaining("UTF-16");
    }

    @Test
    void anyBadByteAnywhereIsNamed() throws IOException {
        Random random = new Random(3);
        Path file = directory.resolve("f.txt");
        for (int i = 0; i < 200; i++) {
            String good = "\u53F0a\u00E9\n\uD83E\uDD84".repeat(1 + random.nextInt(8000));
            byte[] prefix = good.getBytes(StandardCharsets.UTF_8);
            byte[] bad = Arrays.copyOf(prefix, prefix.length + 2);
            bad[prefix.length] = (byte) (0xF8 + random.nextInt(8));
            bad[prefix.length + 1] = 'x';
            Files.write(file, bad);
            assertThatThrownBy(() -> documents(file, Split.FILE))
                    .hasMessageContaining("at offset " + prefix.length + " (line");
        }
    }

    @Test
    void whatIsMissingOrEmptyIsNamed() throws IOException {
        Path nothing = directory.resolve("nothing.txt");
        assertThatThrownBy(() -> TextFiles.of(List.of(nothing))).hasMessageContaining("nothing.txt does not exist");
        assertThatThrownBy(() -> TextFiles.of(List.of(directory))).hasMessageContaining("no text files");
        assertThatThrownBy(() -> TextFiles.of(List.of())).hasMessageContaining("no data");
        Path empty = write("empty.txt", "\n\n");
        assertThatThrownBy(() -> documents(empty, Split.FILE)).hasMessageContaining("empty.txt is empty");
        assertThatThrownBy(() -> documents(write("none.txt", ""), Split.FILE))
                .hasMessageContaining("none.txt is empty");
    }
}
