package org.licorne.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import org.licorne.text.TextFiles;
import org.licorne.text.TokenShards;
import org.licorne.text.TokenShardsWriter;
import org.licorne.text.TokenSlice;
import org.licorne.text.TokenStore;
import org.licorne.text.Tokenizers;
import org.licorne.tokenize.Tokenizer;

/**
 * Text as tokens, ready to train on. On the disk it is a directory with {@code tokenizer.json} and the tokens in
 * {@code shards/}, which is what {@code tokenize} writes. Nothing to close.
 *
 * @param training to learn from
 * @param heldOut kept back for validation; may be empty
 * @param tokenizer whose tokens they are
 */
record TokenizedText(TokenStore training, TokenStore heldOut, Tokenizer tokenizer) {
    private static final String SHARDS = "shards";

    /** Whether a directory holds what {@link #write} writes. */
    static boolean isTokenized(Path directory) {
        return TokenShards.isDirectoryOfShards(directory.resolve(SHARDS));
    }

    /** Opens what {@link #write} wrote and holds a share of it out. */
    static TokenizedText open(Path directory, double heldOutShare) {
        Tokenizer tokenizer = Tokenizers.load(directory);
        TokenShards shards = TokenShards.open(directory.resolve(SHARDS));
        shards.requireTokenizer(tokenizer);
        TokenSlice.Split split = TokenSlice.split(shards, heldOutShare);
        return new TokenizedText(split.training(), split.heldOut(), tokenizer);
    }

    /**
     * Reads text files, learns or loads the tokenizer, and writes both. Leaves no new directory behind if that fails.
     *
     * @param specification what {@code --tokenizer} was given
     */
    static void write(List<Path> data, TextFiles.Split documents, String specification, Path directory, PrintWriter out)
            throws IOException {
        TextFiles files = TextFiles.of(data, documents);
        out.println(Quantities.format(
                "Reading %d file%s, %s.",
                files.files().size(), files.files().size() == 1 ? "" : "s", Quantities.bytes(files.sizeOnDisk())));
        out.flush();
        Tokenizer tokenizer = Tokenizers.parse(specification, files.texts());
        Path made = Directories.topmostMissing(directory);
        TokenShards shards;
        try {
            Directories.create(directory);
            shards = TokenShardsWriter.write(directory.resolve(SHARDS), tokenizer, files);
            tokenizer.save(directory);
        } catch (IOException | RuntimeException e) {
            Directories.deleteAfter(e, made);
            throw e;
        }
        out.println(Quantities.format(
                "%s tokens in %d document%s, vocabulary %d.",
                Quantities.count(shards.tokens()),
                shards.documents(),
                shards.documents() == 1 ? "" : "s",
                shards.vocabularySize()));
        out.flush();
    }
}
