package org.licorne.bench.gpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.Test;

/** On reports that are made up; no figure here was measured. */
class BarsTest {
    private static final String REPORT = """
            {
              "kernels": {"figures": {"kernels": [
                {"kernel": "copy", "sizes": "2^28 floats", "gigabytesPerSecond": 4000},
                {"kernel": "adamw", "sizes": "count=124000000", "gigabytesPerSecond": 3300},
                {"kernel": "layer_norm_forward", "sizes": "N=32768 C=768 residual", "gigabytesPerSecond": 3900},
                {"kernel": "layer_norm_forward", "sizes": "N=32768 C=1600 residual", "gigabytesPerSecond": 3000},
                {"kernel": "attention_forward", "sizes": "B=4 T=4096 H=16 D=128 causal", "teraflops": 200},
                {"kernel": "head_and_loss", "sizes": "N=4096 C=4096 V=128256", "teraflops": 610, "logitsBytes": 536870912}
              ]}},
              "hopper-kernels": {"figures": {"kernels": [
                {"kernel": "attention_forward", "sizes": "B=4 T=4096 H=16 D=128 causal", "teraflops": 450},
                {"kernel": "adamw", "sizes": "count=124000000", "gigabytesPerSecond": 3999}
              ]}},
              "training": {"figures": {"work": [
                {"work": "training run", "model": "gpt2", "precision": "bf16", "batch": 16, "tokensPerSecond": 420000},
                {"work": "training run", "model": "gpt2", "precision": "bf16", "batch": 64, "tokensPerSecond": 441000},
                {"work": "training run", "model": "gpt2", "precision": "fp32", "batch": 64, "tokensPerSecond": 999999},
                {"work": "training step", "model": "gpt2", "precision": "bf16", "batch": 64, "tokensPerSecond": 888888},
                {"work": "training run", "model": "gpt2-xl", "precision": "bf16", "batch": 8,
                 "percentOf989With6N6LTC": 50, "percentOf989With6N12LTC": 44}
              ]}},
              "decoding": {"figures": {"work": [
                {"work": "decode", "model": "gpt2", "precision": "bf16", "batch": 1, "gigabytesPerSecond": 2400},
                {"work": "decode", "model": "gpt2", "precision": "bf16-unquantized", "batch": 1, "gigabytesPerSecond": 2880},
                {"work": "decode", "model": "gpt2", "precision": "q8", "batch": 1, "gigabytesPerSecond": 4800},
                {"work": "decode", "model": "gpt2-xl", "precision": "bf16", "batch": 64, "tokensPerSecond": 5000}
              ]}},
              "reference": {"figures": {"work": [
                {"work": "training step", "model": "gpt2", "engine": "reference", "tokensPerSecond": 10},
                {"work": "training step", "model": "gpt2", "engine": "reference-multithreaded", "tokensPerSecond": 100}
              ]}},
              "peers": {"figures": {
                "kernels": [
                  {"kernel": "attention_forward flash", "sizes": "B=4 T=4096 H=16 D=128 causal", "teraflops": 480},
                  {"kernel": "attention_forward cudnn", "sizes": "B=4 T=4096 H=16 D=128 causal", "teraflops": 500},
                  {"kernel": "head_and_loss compiled", "sizes": "N=4096 C=4096 V=128256", "teraflops": 400,
                   "extraBytes": 2097152000}
                ],
                "work": [
                  {"work": "training run compiled", "model": "gpt2", "precision": "bf16", "batch": 64,
                   "tokensPerSecond": 390000},
                  {"work": "training run compiled cudnn", "model": "gpt2", "precision": "bf16", "batch": 64,
                   "tokensPerSecond": 400000},
                  {"work": "decode", "model": "gpt2", "precision": "bf16", "batch": 1, "gigabytesPerSecond": 1500},
                  {"work": "decode compiled", "model": "gpt2", "precision": "bf16", "batch": 1, "gigabytesPerSecond": 1600},
                  {"work": "training run", "model": "gpt2", "precision": "bf16", "batch": 16, "tokensPerSecond": 900000}
                ]
              }}
            }""";

    private static JsonNode read(String json) throws JsonProcessingException {
        return new ObjectMapper().readTree(json);
    }

    private static Bars.Bar bar(Bars bars, String what) {
        return bars.all().stream()
                .filter(bar -> bar.what().equals(what))
                .findFirst()
                .orElseThrow(() -> new AssertionError("no bar " + what + " in " + bars.all()));
    }

    @Test
    void holdsFiguresAgainstGoals() throws JsonProcessingException {
        Bars bars = new Bars(read(REPORT));
        assertThat(bar(bars, "GPT-2 124M training, T=1024"))
                .isEqualTo(new Bars.Bar(
                        "GPT-2 124M training, T=1024",
                        441_000.0,
                        "tokens/s",
                        400_000.0,
                        441_000.0,
                        "tokens/s",
                        400_000,
                        false));
        Bars.Bar ratio = bar(bars, "GPT-2 124M training, T=1024 against torch.compile");
        assertThat(ratio.judged()).isCloseTo(1.1025, within(1e-9));
        assertThat(ratio.verdict()).isEqualTo("met");
        Bars.Bar large = bar(bars, "GPT-2 1.5B training, 6N+12LTC");
        assertThat(large.judged()).as("not by 6N+6LTC").isEqualTo(44);
        assertThat(large.verdict()).isEqualTo("missed");
        Bars.Bar attention = bar(bars, "attention_forward B=4 T=4096 H=16 D=128 causal");
        assertThat(attention.measured()).as("Hopper's kernel is the faster one").isEqualTo(450);
        assertThat(attention.torch()).as("cuDNN is the faster one").isEqualTo(500);
        assertThat(attention.verdict()).isEqualTo("met");
        assertThat(bar(bars, "adamw").judged()).isCloseTo(82.5, within(1e-9));
        assertThat(bar(bars, "layer_norm_forward").judged())
                .as("the slower size")
                .isEqualTo(75);
        assertThat(bar(bars, "layer_norm_forward").verdict()).isEqualTo("missed");
        assertThat(bar(bars, "its memory for logits").verdict()).isEqualTo("met");
        assertThat(bar(bars, "its memory for logits").torch()).isEqualTo(2000);
        assertThat(bar(bars, "decode gpt2 batch 1, bf16").judged())
                .as("Q8 does not count")
                .isEqualTo(60);
        assertThat(bar(bars, "decode gpt2 batch 1, bf16").torch())
                .as("PyTorch's faster one")
                .isEqualTo(1600);
        assertThat(bar(bars, "GPT-2 124M training against the Java reference").judged())
                .isEqualTo(44_100);
    }

    @Test
    void saysWhichFigureIsMissing() throws JsonProcessingException {
        Bars bars = new Bars(read(REPORT));
        assertThat(bar(bars, "decode gpt2-xl batch 1, bf16").verdict()).isEqualTo("this was not measured");
        assertThat(bar(bars, "decode gpt2-xl batch 64, bf16").verdict()).isEqualTo("PyTorch was not measured");
        Bars noCopy = new Bars(read(REPORT.replace("\"copy\"", "\"another\"")));
        assertThat(bar(noCopy, "adamw").verdict()).isEqualTo("the yardstick was not measured");
        Bars trial = new Bars(read(REPORT.replace("{\"kernels\": [", "{\"trial\": true, \"kernels\": [")));
        assertThat(bar(trial, "adamw").measured()).as("of a trial").isNull();
        Bars none = new Bars(read("{}"));
        assertThat(none.any()).isFalse();
        assertThat(none.all())
                .hasSameSizeAs(bars.all())
                .allSatisfy(bar -> assertThat(bar.verdict()).isEqualTo("this was not measured"));
    }

    @Test
    void aNumberThatIsNoneMisses() {
        assertThat(new Bars.Bar("x", Double.NaN, "", null, Double.NaN, "", 1, false).verdict())
                .isEqualTo("missed");
    }

    @Test
    void isATableAndAnArray() throws JsonProcessingException {
        Bars bars = new Bars(read(REPORT));
        assertThat(bars.text()).contains("441,000").contains(">= 400,000").contains("PyTorch was not measured");
        ObjectMapper json = new ObjectMapper();
        var array = json.createArrayNode();
        bars.addTo(array);
        assertThat(array).hasSameSizeAs(bars.all());
        assertThat(array.get(1).get("verdict").asText()).isEqualTo("met");
        assertThat(array.get(1).get("timesTorch").asDouble()).isCloseTo(1.1025, within(1e-9));
        assertThat(array.get(1).get("atLeast").asDouble()).isEqualTo(1.05);
    }
}
