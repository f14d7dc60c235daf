package org.licorne.text;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.licorne.tokenize.Tokenizer;

/** Finds the tokenizer that a model directory or a command-line option asks for. */
public final class Tokenizers {
    private static final String VOCABULARY_FILE = "vocab.json";
    private static final String MERGES_FILE = "merges.txt";

    private Tokenizers() {}

    /**
     * Loads the tokenizer of a model directory: {@code tokenizer.json}, or GPT-2's older {@code vocab.json} with
     * {@code merges.txt}. What is exactly GPT-2's scheme or single characters is read by our own code, which needs no
     * native library; everything else goes to Hugging Face's.
     */
    public static Tokenizer load(Path modelDirectory) {
        if (!Files.isDirectory(modelDirectory)) {
            throw new IllegalArgumentException(modelDirectory + " is not a directory");
        }
        Path file = modelDirectory.resolve(TokenizerJson.FILE);
        Path vocabulary = modelDirectory.resolve(VOCABULARY_FILE);
        if (Files.exists(file)) {
            return load(modelDirectory, file);
        }
        if (Files.exists(vocabulary)) {
            return readVocabularyAndMerges(vocabulary, modelDirectory.resolve(MERGES_FILE));
        }
        throw new IllegalArgumentException(
                modelDirectory + " has no tokenizer: neither tokenizer.json nor vocab.json with merges.txt");
    }

    private static Tokenizer load(Path directory, Path file) {
        JsonNode json = TokenizerJson.read(file);
        JsonNode model = json.path("model");
        boolean plainBpe = model.path("type").asText("BPE").equals("BPE")
                && isAbsent(json.path("normalizer"))
                && isAbsent(model.path("unk_token"))
                && isAbsent(model.path("dropout"))
                && model.path("continuing_subword_prefix")
                        .asText("")
                        .replace("null", "")
                        .isEmpty()
                && model.path("end_of_word_suffix")
                        .asText("")
                        .replace("null", "")
                        .isEmpty()
                && !model.path("byte_fallback").asBoolean()
                && !model.path("ignore_merges").asBoolean()
                && onlySpecialTokensAdded(json);
        if (plainBpe) {
            Map<String, Integer> vocabulary = TokenizerJson.vocabulary(model.path("vocab"), file.toString());
            Map<String, Integer> specials = TokenizerJson.specialTokens(json);
            JsonNode preTokenizer = json.path("pre_tokenizer");
            if (preTokenizer.path("type").asText().equals("ByteLevel")
                    && !preTokenizer.path("add_prefix_space").asBoolean(true)
                    && preTokenizer.path("use_regex").asBoolean(true)
                    && json.path("decoder").path("type").asText().equals("ByteLevel")) {
                return checked(
                        file,
                        () -> ByteLevelBpeTokenizer.of(
                                vocabulary,
                                TokenizerJson.merges(model.path("merges"), file.toString()),
                                specials,
                                TokenizerJson.beginOfSentence(directory, specials)));
            }
            if (isAbsent(preTokenizer) && model.path("merges").isEmpty()) {
                CharacterTokenizer characters = CharacterTokenizer.ofVocabulary(vocabulary, specials);
                if (characters != null) {
                    return characters;
                }
            }
        }
        return JsonTokenizer.load(directory);
    }

    private static boolean isAbsent(JsonNode node) {
        return node.isMissingNode() || node.isNull();
    }

    private static boolean onlySpecialTokensAdded(JsonNode json) {
        for (JsonNode token : json.path("added_tokens")) {
            if (!token.path("special").asBoolean()) {
                return false;
            }
        }
        return true;
    }

    private static Tokenizer checked(Path file, Supplier<Tokenizer> reading) {
        try {
            return reading.get();
        } catch (IllegalArgumentException e) {
            throw e.getMessage().startsWith(file.toString()) || e.getMessage().startsWith(file.getParent() + ":")
                    ? e
                    : new IllegalArgumentException(file + ": " + e.getMessage(), e);
        }
    }

    /** Reads GPT-2's original pair of files: ids of the tokens, and one merge a line after a version line. */
    static Tokenizer readVocabularyAndMerges(Path vocabularyFile, Path mergesFile) {
        Map<String, Integer> vocabulary =
                TokenizerJson.vocabulary(TokenizerJson.read(vocabularyFile), vocabularyFile.toString());
        List<String[]> merges = new ArrayList<>();
        try {
            int number = 0;
            for (String line :
                    Files.readString(mergesFile, StandardCharsets.UTF_8).split("\r?\n")) {
                number++;
                if (line.isEmpty() || (number == 1 && line.startsWith("#version"))) {
                    continue;
                }
                String[] pair = line.split(" ", -1);
                if (pair.length != 2 || pair[0].isEmpty() || pair[1].isEmpty()) {
                    throw new IllegalArgumentException(
                            mergesFile + ", line " + number + ": \"" + line + "\" is not a pair of tokens");
                }
                merges.add(pair);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + mergesFile + ": " + e, e);
        }
        Integer end = vocabulary.get(ByteLevelBpeTokenizer.END_OF_TEXT);
        Map<String, Integer> specials = end == null ? Map.of() : Map.of(ByteLevelBpeTokenizer.END_OF_TEXT, end);
        return checked(
                vocabularyFile,
                () -> ByteLevelBpeTokenizer.of(vocabulary, merges, specials, ByteLevelBpeTokenizer.END_OF_TEXT));
    }

    /**
     * The tokenizer that an option names: {@code gpt2}, {@code chars} (the characters of the training text),
     * {@code train:N} (a byte-level BPE of N tokens learnt from the training text) or a directory with a tokenizer.
     *
     * @param trainingText read only by {@code chars} and {@code train:N}
     */
    public static Tokenizer parse(String specification, Iterable<String> trainingText) {
        if (specification.equals("gpt2")) {
            return new Gpt2Tokenizer();
        }
        if (specification.equals("chars")) {
            return CharacterTokenizer.of(trainingText);
        }
        if (specification.startsWith("train:")) {
            int size;
            try {
                size = Integer.parseInt(
                        specification.substring("train:".length()).replace("_", ""));
            } catch (NumberFormatException e) {
                throw new IllegalArgumentException(
                        "tokenizer \"" + specification + "\": after \"train:\" comes the number of tokens, such as"
                                + " train:4096",
                        e);
            }
            return new ByteLevelBpeTrainer(size).train(trainingText);
        }
        try {
            Path directory = Path.of(specification);
            if (Files.isDirectory(directory)) {
                return load(directory);
            }
        } catch (InvalidPathException e) {
            throw unknown(specification, e);
        }
        throw unknown(specification, null);
    }

    private static IllegalArgumentException unknown(String specification, Exception cause) {
        return new IllegalArgumentException(
                "tokenizer \"" + specification + "\" is neither gpt2, chars, train:N nor a directory that exists",
                cause);
    }

    /** Identifies a tokenizer by its tokens: SHA-256 of the vocabulary's bytes in the order of the ids. */
    public static String fingerprint(Tokenizer tokenizer) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            int size = tokenizer.vocabularySize();
            digest.update((size + " " + tokenizer.beginOfSentence() + "\n").getBytes(StandardCharsets.US_ASCII));
            for (int token = 0; token < size; token++) {
                byte[] bytes = tokenizer.bytes(token);
                digest.update((bytes.length + " ").getBytes(StandardCharsets.US_ASCII));
                digest.update(bytes);
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
