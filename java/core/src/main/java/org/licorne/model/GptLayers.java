package org.licorne.model;

import org.licorne.nn.Embedding;
import org.licorne.nn.LanguageModelHead;
import org.licorne.nn.Parameters;
import org.licorne.nn.Transformer;
import org.licorne.tensor.DType;

/** GPT as a configuration of the layers: learned positions, causal blocks, head tied to the token table. */
final class GptLayers {
    private final Parameters parameters;
    private final Embedding embedding;
    private final Transformer transformer;
    private final LanguageModelHead head;

    GptLayers(GptConfig config) {
        this(config, DType.F32);
    }

    GptLayers(GptConfig config, DType matrices) {
        parameters = new Parameters(matrices);
        embedding = new Embedding(
                parameters, "wte", "wpe", config.vocabularySize(), config.contextLength(), config.channels());
        transformer = new Transformer(
                parameters,
                config.layers(),
                config.channels(),
                config.heads(),
                config.hiddenChannels(),
                config.layerNormEpsilon());
        head = new LanguageModelHead(embedding.tokens());
    }

    Parameters parameters() {
        return parameters;
    }

    Embedding embedding() {
        return embedding;
    }

    Transformer transformer() {
        return transformer;
    }

    LanguageModelHead head() {
        return head;
    }
}
