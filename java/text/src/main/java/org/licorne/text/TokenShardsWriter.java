package org.licorne.text;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.licorne.tokenize.Tokenizer;

/**
 * Writes {@link TokenShards}. Everything goes to a directory beside the target, which takes the target's name when all
 * of it is on the disk: a reader sees the whole corpus or none. A target that holds older shards is replaced; one that
 * holds anything else is left alone with an error. {@link #close} without {@link #finish} throws away what was written.
 *
 * <p>Whoever makes it closes it; not thread-safe.
 */
public final class TokenShardsWriter implements AutoCloseable {
    /** Tokens in a shard unless told otherwise: 200 or 400 MB. */
    public static final int DEFAULT_SHARD_TOKENS = 100_000_000;

    private static final int LARGEST_SHARD_TOKENS = 500_000_000;

    private final Path target;
    private final Path aside;
    private final Tokenizer tokenizer;
    private final int shardTokens;
    private final int tokenBytes;
    private final ObjectNode index = TokenizerJson.MAPPER.createObjectNode();
    private final ArrayNode shards = TokenizerJson.MAPPER.createArrayNode();
    private final BlockFileWriter documents;
    private BlockFileWriter shard;
    private int tokensInShard;
    private long tokens;
    private long documentCount;
    private boolean finished;
    private boolean closed;

    /** Encodes a corpus on all threads and writes it; returns the opened shards. */
    public static TokenShards write(Path target, Tokenizer tokenizer, Iterable<TextPiece> pieces) {
        try (TokenShardsWriter writer = new TokenShardsWriter(target, tokenizer, DEFAULT_SHARD_TOKENS)) {
            CorpusEncoder.encode(tokenizer, pieces.iterator(), ParallelMap.threads(), writer::add);
            writer.finish();
        }
        return TokenShards.open(target);
    }

    /**
     * @param target directory to make
     * @param tokenizer whose tokens are to come
     * @param shardTokens tokens in a shard, at most
     */
    public TokenShardsWriter(Path target, Tokenizer tokenizer, int shardTokens) {
        if (shardTokens < 1 || shardTokens > LARGEST_SHARD_TOKENS) {
            throw new IllegalArgumentException(
                    "tokens in a shard: " + shardTokens + " is not in 1 to " + LARGEST_SHARD_TOKENS);
        }
        this.target = target.toAbsolutePath();
        this.aside = this.target.resolveSibling(this.target.getFileName() + ".part");
        this.tokenizer = tokenizer;
        this.shardTokens = shardTokens;
        this.tokenBytes = tokenizer.vocabularySize() <= 1 << 16 ? Short.BYTES : Integer.BYTES;
        requireReplaceable();
        try {
            deleteOwnFiles(aside); // left by a writer that was killed
            Files.createDirectories(aside);
            documents = new BlockFileWriter(aside.resolve(TokenShards.DOCUMENTS), 0);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write to " + aside + ": " + e, e);
        }
    }

    private void requireReplaceable() {
        if (!Files.exists(target)) {
            return;
        }
        try (Stream<Path> content = Files.isDirectory(target) ? Files.list(target) : Stream.of(target)) {
            if (content.findAny().isPresent() && !TokenShards.isDirectoryOfShards(target)) {
                throw new IllegalArgumentException(target + " exists and holds something else than tokens");
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + target + ": " + e, e);
        }
    }

    /** Adds the tokens of one document, or of a further part of the last. Begin-of-sentence is put in front here. */
    public void add(boolean beginsDocument, int[] piece) {
        if (finished || closed) {
            throw new IllegalStateException("the writer of " + target + " is closed");
        }
        try {
            if (beginsDocument) {
                documents.putLong(tokens);
                documentCount++;
                put(tokenizer.beginOfSentence());
            } else if (documentCount == 0) {
                throw new IllegalArgumentException("the first piece must begin a document");
            }
            for (int token : piece) {
                TokenText.checkToken(token, tokenizer.vocabularySize());
                if (token == tokenizer.beginOfSentence()) {
                    throw new IllegalArgumentException(
                            "begin-of-sentence (" + token + ") within a document: it marks where documents begin");
                }
                put(token);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write to " + aside + ": " + e, e);
        }
    }

    private void put(int token) throws IOException {
        if (shard == null) {
            shard = new BlockFileWriter(aside.resolve(shardName()), TokenShards.HEADER_BYTES);
        }
        if (tokenBytes == Short.BYTES) {
            shard.putShort(token);
        } else {
            shard.putInt(token);
        }
        tokens++;
        if (++tokensInShard == shardTokens) {
            finishShard();
        }
    }

    private String shardName() {
        return String.format("tokens-%05d.bin", shards.size());
    }

    private void finishShard() throws IOException {
        ByteBuffer header = ByteBuffer.allocate(TokenShards.HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        header.putInt(0, tokenBytes == Short.BYTES ? TokenShards.MAGIC_16 : TokenShards.MAGIC_32);
        header.putInt(4, tokenBytes == Short.BYTES ? TokenShards.VERSION_16 : TokenShards.VERSION_32);
        header.putInt(8, tokensInShard);
        shard.finish(header);
        shard.close();
        ObjectNode entry = TokenizerJson.MAPPER.createObjectNode();
        entry.put("file", shardName()).put("tokens", tokensInShard);
        putChecksums(entry, shard.checksums());
        shards.add(entry);
        shard = null;
        tokensInShard = 0;
    }

    private static void putChecksums(ObjectNode entry, List<Long> checksums) {
        ArrayNode array = entry.putArray("crc32c");
        checksums.forEach(checksum -> array.add(String.format("%08x", checksum)));
    }

    /** Completes the files, forces them to the disk and puts them in place. */
    public void finish() {
        if (finished || closed) {
            throw new IllegalStateException("the writer of " + target + " is closed");
        }
        if (documentCount == 0) {
            throw new IllegalArgumentException("no text to write to " + target + ": there is no document");
        }
        try {
            if (shard != null) {
                finishShard();
            }
            documents.finish(ByteBuffer.allocate(0));
            documents.close();
            index.put("format", TokenShards.FORMAT).put("version", TokenShards.VERSION);
            index.put("vocabularySize", tokenizer.vocabularySize());
            index.put("beginOfSentence", tokenizer.beginOfSentence());
            index.put("tokenizer", Tokenizers.fingerprint(tokenizer));
            index.put("tokenBytes", tokenBytes);
            index.put("tokens", tokens);
            index.put("documents", documentCount);
            putChecksums(index.putObject("documentStarts"), documents.checksums());
            index.set("shards", shards);
            index.put("fingerprint", TokenShards.fingerprint(index));
            AtomicFile.write(aside.resolve(TokenShards.INDEX), index.toPrettyString() + "\n");
            force(aside);
            putInPlace();
            finished = true;
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write to " + aside + ": " + e, e);
        }
    }

    private void putInPlace() throws IOException {
        Path old = target.resolveSibling(target.getFileName() + ".old");
        deleteOwnFiles(old);
        if (Files.exists(target)) {
            Files.move(target, old, StandardCopyOption.ATOMIC_MOVE);
        }
        Files.move(aside, target, StandardCopyOption.ATOMIC_MOVE);
        force(target.getParent());
        deleteOwnFiles(old);
    }

    /** A rename is on the disk when its directory is. Windows has no such thing and needs none. */
    private static void force(Path directory) throws IOException {
        if (directory.getFileSystem().supportedFileAttributeViews().contains("posix")) {
            try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
                channel.force(true);
            }
        }
    }

    /** Deletes a directory of this writer's files; one that holds anything else stays, and its presence is an error. */
    private static void deleteOwnFiles(Path directory) throws IOException {
        if (!Files.exists(directory)) {
            return;
        }
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (name.matches("tokens-\\d+\\.bin|documents\\.bin|index\\.json(\\.part)?")) {
                    Files.delete(file);
                }
            }
        }
        Files.delete(directory);
    }

    /** Throws away what was written unless it was finished. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        try {
            documents.close();
            if (shard != null) {
                shard.close();
            }
            if (!finished) {
                deleteOwnFiles(aside);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot close " + aside + ": " + e, e);
        }
    }
}
