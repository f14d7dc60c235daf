package org.licorne.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.licorne.tokenize.Tokenizer;

/**
 * A corpus of tokens on disk, memory-mapped, of any size. Made by {@link TokenShardsWriter}.
 *
 * <p>The directory holds, all numbers little-endian:
 *
 * <ul>
 *   <li>{@code tokens-00000.bin}, …: a header of 256 32-bit integers (magic, version, number of tokens, zeros), then
 *       the tokens. Magic 20240520 with version 1 stands for 16-bit tokens, 20240801 with version 7 for 32-bit ones:
 *       the two formats that llm.c reads.
 *   <li>{@code documents.bin}: where each document begins, 64 bits each.
 *   <li>{@code index.json}: vocabulary size, begin-of-sentence, fingerprint of the tokenizer, numbers of tokens and
 *       documents, and of each file a CRC-32C for every mebibyte of data; last a SHA-256 of all this.
 * </ul>
 *
 * <p>Sizes are checked on opening, each block when it is first read. Immutable and thread-safe; nothing to close: the
 * mappings go with the object.
 */
public final class TokenShards implements TokenStore {
    static final String INDEX = "index.json";
    static final String DOCUMENTS = "documents.bin";
    static final String FORMAT = "licorne-tokens";
    static final int VERSION = 1;
    static final int HEADER_INTS = 256;
    static final int HEADER_BYTES = HEADER_INTS * Integer.BYTES;
    static final int MAGIC_16 = 20240520;
    static final int VERSION_16 = 1;
    static final int MAGIC_32 = 20240801;
    static final int VERSION_32 = 7;

    private final Path directory;
    private final int vocabularySize;
    private final int beginOfSentence;
    private final int tokenBytes;
    private final long tokens;
    private final long documentCount;
    private final String tokenizer;
    private final String fingerprint;
    private final BlockFile[] shards;
    private final long[] ends;
    private final BlockFile documents;

    /** Opens a directory of shards. */
    public static TokenShards open(Path directory) {
        Path index = directory.resolve(INDEX);
        if (!Files.isRegularFile(index)) {
            throw new IllegalArgumentException(directory + " holds no tokens: it has no " + INDEX);
        }
        return new TokenShards(directory, index, readIndex(index));
    }

    /** Whether a directory looks like one of token shards. */
    public static boolean isDirectoryOfShards(Path directory) {
        return Files.isRegularFile(directory.resolve(INDEX))
                && readIndex(directory.resolve(INDEX)).path("format").asText().equals(FORMAT);
    }

    private static JsonNode readIndex(Path index) {
        try {
            return TokenizerJson.read(index);
        } catch (TokenizerJson.NotJsonException e) {
            throw new CorruptTokensException(index, e.offset(), "the index is " + e.what());
        }
    }

    private TokenShards(Path directory, Path index, JsonNode json) {
        this.directory = directory;
        if (!json.path("format").asText().equals(FORMAT)) {
            throw new IllegalArgumentException(index + " is not an index of token shards (format "
                    + json.path("format").asText("missing") + ")");
        }
        if (json.path("version").asInt() != VERSION) {
            throw new IllegalArgumentException(
                    index + " has version " + json.path("version").asInt() + "; this program reads version " + VERSION);
        }
        fingerprint = json.path("fingerprint").asText();
        if (!fingerprint.equals(fingerprint(json))) {
            throw new CorruptTokensException(index, 0, "the index does not match its own fingerprint: it was changed");
        }
        vocabularySize = json.path("vocabularySize").asInt();
        beginOfSentence = json.path("beginOfSentence").asInt();
        tokenBytes = json.path("tokenBytes").asInt();
        tokens = json.path("tokens").asLong();
        documentCount = json.path("documents").asLong();
        tokenizer = json.path("tokenizer").asText();
        List<BlockFile> files = new ArrayList<>();
        List<Long> positions = new ArrayList<>();
        long end = 0;
        for (JsonNode shard : json.path("shards")) {
            long count = shard.path("tokens").asLong();
            Path file = directory.resolve(shard.path("file").asText());
            BlockFile blocks = new BlockFile(file, HEADER_BYTES, count * tokenBytes, checksums(shard));
            checkHeader(blocks, count);
            files.add(blocks);
            end += count;
            positions.add(end);
        }
        shards = files.toArray(BlockFile[]::new);
        ends = positions.stream().mapToLong(Long::longValue).toArray();
        documents = new BlockFile(
                directory.resolve(DOCUMENTS), 0, documentCount * Long.BYTES, checksums(json.path("documentStarts")));
    }

    private static long[] checksums(JsonNode file) {
        long[] checksums = new long[file.path("crc32c").size()];
        for (int i = 0; i < checksums.length; i++) {
            checksums[i] = Long.parseLong(file.path("crc32c").path(i).asText(), 16);
        }
        return checksums;
    }

    private void checkHeader(BlockFile shard, long count) {
        int magic = tokenBytes == Short.BYTES ? MAGIC_16 : MAGIC_32;
        int version = tokenBytes == Short.BYTES ? VERSION_16 : VERSION_32;
        int[] expected = {magic, version, (int) count};
        String[] names = {"magic number", "version", "number of tokens"};
        for (int i = 0; i < HEADER_INTS; i++) {
            int value = i < expected.length ? expected[i] : 0;
            if (shard.headerInt(i) != value) {
                throw new CorruptTokensException(
                        shard.file(),
                        (long) i * Integer.BYTES,
                        "the " + (i < names.length ? names[i] : "rest of the header") + " is " + shard.headerInt(i)
                                + " and should be " + value);
            }
        }
    }

    /** SHA-256 of an index without its fingerprint; it stands for the data too, through the checksums. */
    static String fingerprint(JsonNode index) {
        ObjectNode rest = index.deepCopy();
        rest.remove("fingerprint");
        try {
            byte[] digest =
                    MessageDigest.getInstance("SHA-256").digest(rest.toString().getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(digest);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** Throws unless the tokens were made by this tokenizer. */
    public void requireTokenizer(Tokenizer expected) {
        if (vocabularySize != expected.vocabularySize()) {
            throw new IllegalArgumentException(directory + " was made with a vocabulary of " + vocabularySize
                    + " tokens, the tokenizer has " + expected.vocabularySize());
        }
        if (!tokenizer.equals(Tokenizers.fingerprint(expected))) {
            throw new IllegalArgumentException(
                    directory + " was made with another tokenizer of the same size (" + vocabularySize + " tokens)");
        }
    }

    /** Checks every block now, which reads all files once. */
    public void verify() {
        for (BlockFile shard : shards) {
            shard.verifyAll();
        }
        documents.verifyAll();
    }

    @Override
    public long tokens() {
        return tokens;
    }

    @Override
    public void read(long position, int[] destination, int offset, int length) {
        if (position < 0 || length < 0 || position + length > tokens) {
            throw new IndexOutOfBoundsException(
                    "tokens " + position + " to " + (position + length) + " of " + tokens + " in " + directory);
        }
        int shard = shardOf(position);
        long at = position;
        int to = offset;
        int left = length;
        while (left > 0) {
            long start = shard == 0 ? 0 : ends[shard - 1];
            int count = (int) Math.min(left, ends[shard] - at);
            readShard(shards[shard], at - start, destination, to, count);
            at += count;
            to += count;
            left -= count;
            shard++;
        }
    }

    private void readShard(BlockFile shard, long from, int[] destination, int offset, int count) {
        long bytes = from * tokenBytes;
        shard.verify(bytes, (long) count * tokenBytes);
        if (tokenBytes == Short.BYTES) {
            for (int i = 0; i < count; i++) {
                destination[offset + i] = shard.getUnsignedShort(bytes + (long) i * Short.BYTES);
            }
        } else {
            for (int i = 0; i < count; i++) {
                destination[offset + i] = shard.getInt(bytes + (long) i * Integer.BYTES);
            }
        }
    }

    private int shardOf(long position) {
        int low = 0;
        int high = ends.length - 1;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (ends[middle] > position) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }

    @Override
    public long documents() {
        return documentCount;
    }

    @Override
    public long documentStart(long document) {
        if (document == documentCount) {
            return tokens;
        }
        if (document < 0 || document > documentCount) {
            throw new IndexOutOfBoundsException("document " + document + " of " + documentCount + " in " + directory);
        }
        documents.verify(document * Long.BYTES, Long.BYTES);
        return documents.getLong(document * Long.BYTES);
    }

    @Override
    public int vocabularySize() {
        return vocabularySize;
    }

    @Override
    public int beginOfSentence() {
        return beginOfSentence;
    }

    @Override
    public String fingerprint() {
        return fingerprint;
    }

    @Override
    public String toString() {
        return "TokenShards[" + directory + ", " + tokens + " tokens, " + documentCount + " documents]";
    }
}
