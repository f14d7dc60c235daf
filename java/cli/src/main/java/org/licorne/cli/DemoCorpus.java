package org.licorne.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.licorne.text.ByteLevelBpeTrainer;
import org.licorne.text.TextPiece;
import org.licorne.text.TokenShards;
import org.licorne.text.TokenShardsWriter;
import org.licorne.text.Tokenizers;
import org.licorne.text.WordNetCorpus;
import org.licorne.tokenize.Tokenizer;

/**
 * The demo's text: WordNet as tokens, the tokenizer learnt from it, and what xz needs for the held-out part. Made once
 * and kept in the user's cache directory, whose name changes with whatever would change its content.
 *
 * @param text tokens and tokenizer
 * @param xzBitsPerByte what {@code xz -9} needs for the held-out text after the training text
 */
record DemoCorpus(TokenizedText text, double xzBitsPerByte) {
    static final int VOCABULARY = 4096;

    private static final long SHUFFLE_SEED = 1;
    private static final String KEY = "wordnet-3.1-bpe-" + VOCABULARY + "-v1";
    private static final String TRAINING = "training";
    private static final String HELD_OUT = "held-out";
    private static final String BASELINE = "baseline.json";
    private static final String XZ = "xzBitsPerByte";
    private static final ObjectMapper JSON = new ObjectMapper();

    /** {@code -Dlicorne.cache}, {@code $XDG_CACHE_HOME/licorne}, or {@code ~/.cache/licorne}. */
    static Path cacheDirectory() {
        String asked = System.getProperty("licorne.cache");
        if (asked != null) {
            return Path.of(asked);
        }
        String configured = System.getenv("XDG_CACHE_HOME");
        Path base = configured == null
                        || configured.isBlank()
                        || !Path.of(configured).isAbsolute()
                ? Path.of(System.getProperty("user.home"), ".cache")
                : Path.of(configured);
        return base.resolve("licorne");
    }

    /** Takes the corpus from the cache, or makes it and puts it there. */
    static DemoCorpus prepare(Path cache, PrintWriter out) throws IOException {
        Path directory = cache.resolve(KEY);
        if (!Files.exists(directory.resolve(BASELINE))) {
            out.println("Preparing the text, once: WordNet's definitions, a tokenizer of " + VOCABULARY
                    + " tokens, and xz -9 as the rival …");
            out.flush();
            WordNetCorpus corpus = WordNetCorpus.load(SHUFFLE_SEED);
            make(cache, corpus.training(), corpus.heldOut(), VOCABULARY);
        }
        return open(directory);
    }

    private static DemoCorpus open(Path directory) throws IOException {
        Tokenizer tokenizer = Tokenizers.load(directory);
        TokenShards training = TokenShards.open(directory.resolve(TRAINING));
        TokenShards heldOut = TokenShards.open(directory.resolve(HELD_OUT));
        training.requireTokenizer(tokenizer);
        heldOut.requireTokenizer(tokenizer);
        double xz = JsonFile.readObject(directory.resolve(BASELINE)).path(XZ).asDouble();
        return new DemoCorpus(new TokenizedText(training, heldOut, tokenizer), xz);
    }

    /** Puts a corpus into the cache. */
    static void make(Path cache, List<String> training, List<String> heldOut, int vocabulary) throws IOException {
        CompletableFuture<Double> xz =
                CompletableFuture.supplyAsync(() -> XzBaseline.bitsPerByte(lines(training), lines(heldOut)));
        Files.createDirectories(cache);
        Path aside = Files.createTempDirectory(cache, KEY + ".making");
        try {
            Tokenizer tokenizer = new ByteLevelBpeTrainer(vocabulary).train(training);
            tokenizer.save(aside);
            TokenShardsWriter.write(aside.resolve(TRAINING), tokenizer, TextPiece.documents(training));
            TokenShardsWriter.write(aside.resolve(HELD_OUT), tokenizer, TextPiece.documents(heldOut));
            JSON.writeValue(aside.resolve(BASELINE).toFile(), Map.of(XZ, xz.join()));
            putInPlace(aside, cache.resolve(KEY));
        } finally {
            Directories.delete(aside);
        }
    }

    /** One line per document: the text that both the model and xz are measured on. */
    private static String lines(List<String> documents) {
        return String.join("\n", documents) + "\n";
    }

    private static void putInPlace(Path aside, Path directory) throws IOException {
        if (Files.exists(directory) && !Files.exists(directory.resolve(BASELINE))) {
            Directories.delete(directory); // left by a process that was killed between moving and writing
        }
        try {
            Files.move(aside, directory, StandardCopyOption.ATOMIC_MOVE);
        } catch (FileSystemException e) {
            if (!Files.exists(directory.resolve(BASELINE))) { // else another process was faster, with the same content
                throw e;
            }
        }
    }
}
