package org.licorne.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.CharBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads and checks the header of one safetensors file. The file is not trusted: everything it says is compared with
 * what is there before anything is allocated or mapped, and memory stays within a small multiple of the header's size.
 */
final class SafetensorsHeader {
    static final int LENGTH_BYTES = 8;
    static final long LARGEST_HEADER = 100_000_000;
    static final String METADATA = "__metadata__";

    private static final int HIGHEST_RANK = 32;
    private static final String DAMAGED = "The file is damaged or is no safetensors file; get it again";
    private static final JsonFactory JSON = new JsonFactoryBuilder()
            // Names come from outside: they must not fill the JVM's table of interned strings.
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .disable(JsonFactory.Feature.FAIL_ON_SYMBOL_HASH_OVERFLOW)
            .build();

    private final Path file;
    private final long fileBytes;
    private final Map<String, Raw> raw = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private long dataStart;

    /** One entry with offsets as the header gives them: relative to the end of the header. */
    private record Raw(String name, ElementType type, List<Long> shape, long begin, long end, long headerByte) {}

    private SafetensorsHeader(Path file, long fileBytes) {
        this.file = file;
        this.fileBytes = fileBytes;
    }

    static SafetensorsHeader read(Path file, FileChannel channel) throws IOException {
        SafetensorsHeader header = new SafetensorsHeader(file, channel.size());
        header.parse(header.bytes(channel));
        header.checkLayout();
        return header;
    }

    /** Tensors in the order of the header. */
    List<TensorEntry> entries() {
        List<TensorEntry> entries = new ArrayList<>(raw.size());
        for (Raw tensor : raw.values()) {
            entries.add(new TensorEntry(
                    tensor.name, tensor.type, tensor.shape, file, dataStart + tensor.begin, tensor.end - tensor.begin));
        }
        return entries;
    }

    Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    private byte[] bytes(FileChannel channel) throws IOException {
        if (fileBytes < LENGTH_BYTES) {
            throw error(
                    null,
                    fileBytes,
                    "the file ends after " + fileBytes
                            + " bytes, but a safetensors file begins with the 8 bytes of its header's length");
        }
        ByteBuffer lengthField = ByteBuffer.allocate(LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        fill(channel, lengthField, 0);
        long length = lengthField.getLong(0);
        if (length < 0 || length > LARGEST_HEADER) {
            throw error(
                    null,
                    0,
                    "the header would have " + Long.toUnsignedString(length) + " bytes, but " + LARGEST_HEADER
                            + " are the most that is allowed");
        }
        if (length > fileBytes - LENGTH_BYTES) {
            throw error(
                    null,
                    0,
                    "the header would have " + length + " bytes, but only " + (fileBytes - LENGTH_BYTES)
                            + " follow in the file");
        }
        dataStart = LENGTH_BYTES + length;
        ByteBuffer header = ByteBuffer.allocate((int) length);
        fill(channel, header, LENGTH_BYTES);
        checkUtf8(header.flip());
        return header.array();
    }

    private void fill(FileChannel channel, ByteBuffer destination, long position) throws IOException {
        while (destination.hasRemaining()) {
            long at = position + destination.position();
            if (channel.read(destination, at) < 0) {
                throw error(null, at, "the file became shorter while it was read");
            }
        }
    }

    private void checkUtf8(ByteBuffer header) {
        CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
        CharBuffer sink = CharBuffer.allocate(8192);
        CoderResult result;
        do {
            sink.clear();
            result = decoder.decode(header, sink, true);
            if (result.isError()) {
                throw error(null, LENGTH_BYTES + header.position(), "the header is not UTF-8");
            }
            for (int i = 0; i < sink.position(); i++) {
                if (sink.get(i) == 0) { // else the parser would guess UTF-16 or UTF-32
                    throw error(null, LENGTH_BYTES, "the header is not JSON: it holds a NUL character");
                }
            }
        } while (result.isOverflow());
    }

    private void parse(byte[] header) throws IOException {
        if (header.length == 0 || header[0] != '{') {
            throw error(null, LENGTH_BYTES, "the header is not a JSON object: it does not begin with '{'");
        }
        try (JsonParser parser = JSON.createParser(header)) {
            parser.nextToken();
            boolean metadataSeen = false;
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String name = parser.currentName();
                long at = at(parser);
                parser.nextToken();
                if (name.equals(METADATA)) {
                    if (metadataSeen) {
                        throw error(null, at, METADATA + " stands twice in the header");
                    }
                    metadataSeen = true;
                    parseMetadata(parser);
                } else if (raw.put(name, parseTensor(parser, name, at)) != null) {
                    throw error(name, at, "the name stands twice in the header");
                }
            }
            if (parser.nextToken() != null) {
                throw error(null, at(parser), "something follows the header's JSON object");
            }
        } catch (JsonProcessingException e) {
            long offset =
                    e.getLocation() == null ? 0 : Math.max(0, e.getLocation().getByteOffset());
            throw new CheckpointException(
                    file, null, LENGTH_BYTES + offset, "the header is not JSON: " + StrictJson.reason(e), DAMAGED, e);
        }
    }

    private void parseMetadata(JsonParser parser) throws IOException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw error(null, at(parser), METADATA + " is not an object");
        }
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String key = parser.currentName();
            long at = at(parser);
            if (parser.nextToken() != JsonToken.VALUE_STRING) {
                throw error(
                        null, at, METADATA + ": the value of " + CheckpointException.quote(key) + " is not a string");
            }
            if (metadata.put(key, parser.getText()) != null) {
                throw error(null, at, METADATA + ": " + CheckpointException.quote(key) + " stands twice");
            }
        }
    }

    private Raw parseTensor(JsonParser parser, String name, long headerByte) throws IOException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw error(name, at(parser), "its description is not an object");
        }
        ElementType type = null;
        List<Long> shape = null;
        List<Long> offsets = null;
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String key = parser.currentName();
            long at = at(parser);
            parser.nextToken();
            boolean twice;
            switch (key) {
                case "dtype" -> {
                    twice = type != null;
                    type = parseType(parser, name);
                }
                case "shape" -> {
                    twice = shape != null;
                    shape = parseSizes(parser, name, "shape", HIGHEST_RANK);
                }
                case "data_offsets" -> {
                    twice = offsets != null;
                    offsets = parseSizes(parser, name, "data_offsets", 2);
                }
                default -> throw error(name, at, "unknown key " + CheckpointException.quote(key));
            }
            if (twice) {
                throw error(name, at, "'" + key + "' stands twice");
            }
        }
        if (type == null || shape == null || offsets == null) {
            String missing = type == null ? "dtype" : shape == null ? "shape" : "data_offsets";
            throw error(name, headerByte, "'" + missing + "' is missing");
        }
        return checkedTensor(name, type, shape, offsets, headerByte);
    }

    private ElementType parseType(JsonParser parser, String name) throws IOException {
        if (parser.currentToken() != JsonToken.VALUE_STRING) {
            throw error(name, at(parser), "'dtype' is not a string");
        }
        ElementType type = ElementType.named(parser.getText());
        if (type == null) {
            throw error(name, at(parser), "unknown dtype " + CheckpointException.quote(parser.getText()));
        }
        return type;
    }

    private List<Long> parseSizes(JsonParser parser, String name, String key, int most) throws IOException {
        if (parser.currentToken() != JsonToken.START_ARRAY) {
            throw error(name, at(parser), "'" + key + "' is not a list");
        }
        List<Long> sizes = new ArrayList<>(4);
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT) {
                throw error(name, at(parser), "'" + key + "' holds something that is not a whole number");
            }
            if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
                throw error(name, at(parser), "'" + key + "' holds a number outside 0 to 2^63 - 1");
            }
            if (parser.getLongValue() < 0) {
                throw error(name, at(parser), "'" + key + "' holds the negative number " + parser.getLongValue());
            }
            if (sizes.size() == most) {
                throw error(name, at(parser), "'" + key + "' holds more than " + most + " numbers");
            }
            sizes.add(parser.getLongValue());
        }
        return sizes;
    }

    private Raw checkedTensor(String name, ElementType type, List<Long> shape, List<Long> offsets, long headerByte) {
        if (offsets.size() != 2) {
            throw error(name, headerByte, "'data_offsets' holds " + offsets.size() + " numbers and not 2");
        }
        long bytes = type.bytes();
        try {
            for (long size : shape) {
                bytes = Math.multiplyExact(bytes, size);
            }
        } catch (ArithmeticException e) {
            throw error(name, headerByte, "shape " + shape + " of " + type + " overflows 2^63 bytes");
        }
        long begin = offsets.get(0);
        long end = offsets.get(1);
        if (begin > end) {
            throw error(name, headerByte, "its data would end at " + end + ", before it begins at " + begin);
        }
        long dataBytes = fileBytes - dataStart;
        if (end > dataBytes) {
            throw error(
                    name,
                    dataStart + begin,
                    "its data would end at byte " + end
                            + " of the data, but the file holds " + dataBytes
                            + " bytes of data: it is cut short or its header is wrong");
        }
        if (end - begin != bytes) {
            throw error(
                    name,
                    dataStart + begin,
                    "its data has " + (end - begin) + " bytes, but shape " + shape + " of " + type + " needs " + bytes);
        }
        return new Raw(name, type, List.copyOf(shape), begin, end, headerByte);
    }

    /** The data must be covered exactly: no overlap, no hole, nothing behind. */
    private void checkLayout() {
        List<Raw> byOffset = new ArrayList<>(raw.values());
        byOffset.sort(Comparator.comparingLong(Raw::begin).thenComparingLong(Raw::end));
        long covered = 0;
        String before = null;
        for (Raw tensor : byOffset) {
            if (tensor.begin < covered) {
                throw error(
                        tensor.name,
                        dataStart + tensor.begin,
                        "its data overlaps that of " + CheckpointException.quote(before));
            }
            if (tensor.begin > covered) {
                throw error(
                        tensor.name,
                        dataStart + covered,
                        "a hole of " + (tensor.begin - covered) + " bytes lies before its data");
            }
            covered = tensor.end;
            before = tensor.name;
        }
        if (covered != fileBytes - dataStart) {
            throw error(
                    before,
                    dataStart + covered,
                    (fileBytes - dataStart - covered) + " bytes at the end of the file belong to no tensor");
        }
    }

    private static long at(JsonParser parser) {
        return LENGTH_BYTES + Math.max(0, parser.currentTokenLocation().getByteOffset());
    }

    private CheckpointException error(String tensor, long byteOffset, String problem) {
        return new CheckpointException(file, tensor, byteOffset, problem, DAMAGED, null);
    }
}
