package org.licorne.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Set;
import org.licorne.model.GptConfig;
import org.licorne.tensor.DType;

/**
 * {@code config.json} of a Hugging Face GPT-2 directory. Keys that change nothing about the network (dropout, task
 * settings, versions) are passed over; a value that would need another network than ours is refused.
 */
final class Gpt2Config {
    static final String FILE_NAME = "config.json";

    /** Two names of GELU's tanh form. */
    private static final Set<String> ACTIVATIONS = Set.of("gelu_new", "gelu_pytorch_tanh");

    /** Tells other programs that they cannot read the weights; what they are, the weights' file says. */
    private static final String OWN_QUANTISATION = "licorne";

    private final Path file;
    private final JsonNode json;

    private Gpt2Config(Path file) {
        this.file = file;
        this.json = StrictJson.readObject(file);
    }

    static GptConfig read(Path file) {
        return new Gpt2Config(file).read();
    }

    private GptConfig read() {
        String type = text("model_type", null);
        if (!"gpt2".equals(type)) {
            throw error("model_type", type == null ? "is missing" : "is '" + type + "'", "only gpt2 can be read");
        }
        String activation = text("activation_function", "gelu_new");
        if (!ACTIVATIONS.contains(activation)) {
            throw error("activation_function", "is '" + activation + "'", "only gelu_new can be run");
        }
        requireFlag("scale_attn_weights", true);
        requireFlag("scale_attn_by_inverse_layer_idx", false);
        requireFlag("add_cross_attention", false);
        requireFlag("tie_word_embeddings", true);
        JsonNode quantisation = json.path("quantization_config");
        if (!quantisation.isMissingNode()
                && !quantisation.isNull()
                && !quantisation.path("quant_method").asText().equals(OWN_QUANTISATION)) {
            throw error("quantization_config", "is set", "of quantised models only Licorne's own can be read");
        }
        int channels = size("n_embd");
        if (!json.path("n_inner").isNull()
                && !json.path("n_inner").isMissingNode()
                && (!json.path("n_inner").isIntegralNumber()
                        || json.path("n_inner").longValue() != 4L * channels)) {
            throw error("n_inner", "is " + shown("n_inner"), "only null or 4 times n_embd can be run");
        }
        try {
            return new GptConfig(
                    size("vocab_size"),
                    size(json.has("n_positions") ? "n_positions" : "n_ctx"),
                    channels,
                    size("n_layer"),
                    size("n_head"),
                    epsilon());
        } catch (IllegalArgumentException e) {
            throw new CheckpointException(file, null, -1, e.getMessage(), null, e);
        }
    }

    private int size(String key) {
        JsonNode value = json.path(key);
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < 1) {
            String problem = value.isMissingNode() ? "is missing" : "is " + shown(key);
            throw error(key, problem, "a whole number from 1 is needed");
        }
        return value.intValue();
    }

    private float epsilon() {
        JsonNode value = json.path("layer_norm_epsilon");
        if (value.isMissingNode()) {
            return GptConfig.DEFAULT_EPSILON;
        }
        if (!value.isNumber()) {
            throw error("layer_norm_epsilon", "is " + shown("layer_norm_epsilon"), "a number is needed");
        }
        return value.floatValue();
    }

    private String text(String key, String otherwise) {
        JsonNode value = json.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isTextual()) {
            throw error(key, "is " + shown(key), "a string is needed");
        }
        return value.textValue();
    }

    private void requireFlag(String key, boolean wanted) {
        JsonNode value = json.path(key);
        if (!value.isMissingNode() && !(value.isBoolean() && value.booleanValue() == wanted)) {
            throw error(key, "is " + shown(key), "only " + wanted + " can be run");
        }
    }

    private String shown(String key) {
        return CheckpointException.quote(json.path(key).toString());
    }

    private CheckpointException error(String key, String problem, String rule) {
        return new CheckpointException(file, "'" + key + "' " + problem + ", but " + rule, null);
    }

    /**
     * @param weights what matrices are stored in
     * @param endOfText the token that begins and ends texts, or -1 if that is not known
     */
    static byte[] bytes(GptConfig config, DType weights, int endOfText) {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.putArray("architectures").add("GPT2LMHeadModel");
        json.put("model_type", "gpt2");
        json.put("activation_function", "gelu_new");
        json.put("attn_pdrop", 0.0);
        if (endOfText >= 0) {
            json.put("bos_token_id", endOfText);
        }
        json.put("embd_pdrop", 0.0);
        if (endOfText >= 0) {
            json.put("eos_token_id", endOfText);
        }
        json.put("initializer_range", 0.02);
        // Through the text, so that 1e-5f is written as 1.0E-5 and not as the double next to it.
        json.put("layer_norm_epsilon", Double.parseDouble(Float.toString(config.layerNormEpsilon())));
        json.put("n_ctx", config.contextLength());
        json.put("n_embd", config.channels());
        json.put("n_head", config.heads());
        json.putNull("n_inner");
        json.put("n_layer", config.layers());
        json.put("n_positions", config.contextLength());
        if (weights.isTile()) {
            json.putObject("quantization_config")
                    .put("quant_method", OWN_QUANTISATION)
                    .put("weights", SmallWeights.name(weights));
        }
        json.put("reorder_and_upcast_attn", false);
        json.put("resid_pdrop", 0.0);
        json.put("scale_attn_by_inverse_layer_idx", false);
        json.put("scale_attn_weights", true);
        json.put("tie_word_embeddings", true);
        json.put("torch_dtype", weights == DType.BF16 ? "bfloat16" : "float32");
        json.put("use_cache", true);
        json.put("vocab_size", config.vocabularySize());
        return StrictJson.bytes(json);
    }
}
