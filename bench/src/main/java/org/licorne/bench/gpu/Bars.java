package org.licorne.bench.gpu;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.licorne.bench.Table;

/**
 * The goals of the CUDA backend on an H200, each beside what the parts of one run measured: a figure, PyTorch's where it
 * has one, what is judged (the figure itself, its ratio to PyTorch's, its share of a bandwidth), and whether that is
 * enough. Where a kernel was timed twice, for all GPUs and for Hopper's, the faster one counts; trials without a GPU do
 * not. Not thread-safe.
 */
final class Bars {
    /** Of an H200's memory, as its maker states it. */
    private static final double H200_GIGABYTES = 4800;

    private static final String TRAINING_RUN = ModelTimes.TRAINING_RUN;
    private static final String STEP_TOKENS = "tokensPerSecond";
    private static final String OF_989 = "percentOf989With6N12LTC";
    private static final String TERAFLOPS = "teraflops";
    private static final String GIGABYTES = "gigabytesPerSecond";

    private final JsonNode parts;
    private final List<Bar> bars = new ArrayList<>();

    /**
     * One goal. Numbers are null where they were not measured.
     *
     * @param unit of measured and torch
     * @param judged what is held against the bar
     * @param judgedUnit its unit
     * @param most whether the bar is the most that judged may be; else it is the least
     */
    record Bar(
            String what,
            Double measured,
            String unit,
            Double torch,
            Double judged,
            String judgedUnit,
            double bar,
            boolean most) {
        String verdict() {
            if (judged == null) {
                String whose = measured == null ? "this" : judgedUnit.contains("torch") ? "PyTorch" : "the yardstick";
                return whose + " was not measured";
            }
            return (most ? judged <= bar : judged >= bar) ? "met" : "missed"; // NaN misses
        }
    }

    /** @param parts the merged report's: by name, each with its figures */
    Bars(JsonNode parts) {
        this.parts = parts;
        training();
        attention();
        bandwidth();
        head();
        decoding();
        reference();
    }

    List<Bar> all() {
        return List.copyOf(bars);
    }

    /** Whether any of them has a figure. */
    boolean any() {
        return bars.stream().anyMatch(bar -> bar.measured() != null);
    }

    private void training() {
        Double tokens = ours(TRAINING_RUN, "gpt2", 0, STEP_TOKENS);
        Double torch = torch(TRAINING_RUN + " compiled", "gpt2", 0, STEP_TOKENS);
        String what = "GPT-2 124M training, T=1024";
        add(what, tokens, "tokens/s", torch, tokens, "tokens/s", 400_000);
        add(what + " against torch.compile", tokens, "tokens/s", torch, ratio(tokens, torch), "× torch", 1.05);
        Double share = ours(TRAINING_RUN, "gpt2-xl", 0, OF_989);
        Double torchShare = torch(TRAINING_RUN + " compiled", "gpt2-xl", 0, OF_989);
        add("GPT-2 1.5B training, 6N+12LTC", share, "% of 989 TFLOP/s", torchShare, share, "% of 989 TFLOP/s", 45);
    }

    private void attention() {
        attention("attention_forward", 128, false, 500, "B=4 T=4096 H=16", "B=2 T=8192 H=16");
        attention("attention_forward", 128, true, 430, "B=4 T=4096 H=16", "B=2 T=8192 H=16");
        attention("attention_forward", 64, false, 360, "B=4 T=4096 H=16");
        attention("attention_forward", 64, true, 300, "B=4 T=4096 H=16");
        attention("attention_backward", 128, false, 420, "B=4 T=4096 H=16", "B=2 T=8192 H=16");
        attention("attention_backward", 128, true, 350, "B=4 T=4096 H=16", "B=2 T=8192 H=16");
    }

    /** Each length has a row: the goal holds for all of them. */
    private void attention(String kernel, int D, boolean causal, double bar, String... shapes) {
        for (String shape : shapes) {
            String sizes = shape + " D=" + D + (causal ? " causal" : "");
            Double rate = kernel(kernel, sizes, TERAFLOPS);
            Double torch = entries(
                            List.of("peers"),
                            "kernels",
                            entry -> entry.path("kernel").asText().startsWith(kernel + " ")
                                    && entry.path("sizes").asText().equals(sizes),
                            TERAFLOPS)
                    .max(Double::compare)
                    .orElse(null);
            add(kernel + " " + sizes, rate, "TFLOP/s", torch, rate, "TFLOP/s", bar);
        }
    }

    /** Of the bandwidth that a large copy had in the same run. */
    private void bandwidth() {
        Double copy = entries(List.of("kernels"), "kernels", is("kernel", "copy"), GIGABYTES)
                .max(Double::compare)
                .orElse(null);
        for (String kernel : List.of(
                "cross_entropy_backward",
                "layer_norm_forward",
                "layer_norm_backward",
                "rms_norm_forward",
                "rms_norm_backward",
                "adamw")) {
            Double rate = entries(List.of("kernels"), "kernels", is("kernel", kernel), GIGABYTES)
                    .min(Double::compare) // of its sizes
                    .orElse(null);
            Double torch = entries(
                            List.of("peers"),
                            "kernels",
                            is("kernel", kernel).or(is("kernel", kernel + " compiled")),
                            GIGABYTES)
                    .max(Double::compare)
                    .orElse(null);
            add(kernel, rate, "GB/s", torch, percent(rate, copy), "% of the copy", 80);
        }
    }

    private void head() {
        String sizes = "N=4096 C=4096 V=128256";
        Double rate = kernel("head_and_loss", sizes, TERAFLOPS);
        Double torch = entries(List.of("peers"), "kernels", is("sizes", sizes), TERAFLOPS)
                .max(Double::compare)
                .orElse(null);
        add("linear + cross-entropy " + sizes, rate, "TFLOP/s", torch, rate, "TFLOP/s", 600);
        Double mebibytes = scaled(kernel("head_and_loss", sizes, "logitsBytes"), 1.0 / (1 << 20));
        Double torchMebibytes = scaled(
                entries(List.of("peers"), "kernels", is("sizes", sizes), "extraBytes")
                        .min(Double::compare)
                        .orElse(null),
                1.0 / (1 << 20));
        bars.add(new Bar("its memory for logits", mebibytes, "MiB", torchMebibytes, mebibytes, "MiB", 512, true));
    }

    private void decoding() {
        for (String model : List.of("gpt2", "gpt2-xl")) {
            Double rate = work(List.of("decoding"), "decode", model, 1, GIGABYTES);
            Double torch = torch("decode", model, 1, GIGABYTES);
            add(
                    "decode " + model + " batch 1, bf16",
                    rate,
                    "GB/s",
                    torch,
                    percent(rate, H200_GIGABYTES),
                    "% of 4.8 TB/s",
                    model.equals("gpt2") ? 60 : 80);
        }
        for (String model : List.of("gpt2", "gpt2-xl")) {
            Double tokens = work(List.of("decoding"), "decode", model, 64, STEP_TOKENS);
            Double torch = torch("decode", model, 64, STEP_TOKENS);
            String what = "decode " + model + " batch 64, bf16";
            add(what, tokens, "tokens/s", torch, ratio(tokens, torch), "× torch", 3);
        }
    }

    private void reference() {
        Double tokens = ours(TRAINING_RUN, "gpt2", 0, STEP_TOKENS);
        Double java = entries(
                        List.of("reference"), "work", is("engine", "reference").and(is("model", "gpt2")), STEP_TOKENS)
                .max(Double::compare)
                .orElse(null);
        add(
                "GPT-2 124M training against the Java reference",
                tokens,
                "tokens/s",
                null,
                ratio(tokens, java),
                "× the reference",
                1000);
    }

    private void add(
            String what, Double measured, String unit, Double torch, Double judged, String judgedUnit, double bar) {
        bars.add(new Bar(what, measured, unit, torch, judged, judgedUnit, bar, false));
    }

    private static Double ratio(Double one, Double other) {
        return one == null || other == null ? null : one / other;
    }

    private static Double percent(Double one, Double other) {
        return scaled(ratio(one, other), 100);
    }

    private static Double scaled(Double value, double factor) {
        return value == null ? null : value * factor;
    }

    private Double ours(String work, String model, int batch, String field) {
        return work(List.of("training", "hopper-training"), work, model, batch, field);
    }

    /** Of PyTorch's variants of that work, each with a name of its own behind it, the fastest. */
    private Double torch(String work, String model, int batch, String field) {
        Predicate<JsonNode> variant = entry -> entry.path("work").asText().startsWith(work + " ");
        return best(List.of("peers"), is("work", work).or(variant), model, batch, field);
    }

    /** The best in bfloat16; @param batch 0: any */
    private Double work(List<String> names, String work, String model, int batch, String field) {
        return best(names, is("work", work), model, batch, field);
    }

    private Double best(List<String> names, Predicate<JsonNode> which, String model, int batch, String field) {
        return entries(
                        names,
                        "work",
                        which.and(is("model", model))
                                .and(entry -> entry.path("precision").asText().startsWith("bf16"))
                                .and(entry -> batch == 0 || entry.path("batch").asInt() == batch),
                        field)
                .max(Double::compare)
                .orElse(null);
    }

    private Double kernel(String kernel, String sizes, String field) {
        return entries(
                        List.of("kernels", "hopper-kernels"),
                        "kernels",
                        is("kernel", kernel).and(is("sizes", sizes)),
                        field)
                .max(Double::compare)
                .orElse(null);
    }

    private static Predicate<JsonNode> is(String field, String value) {
        return entry -> entry.path(field).asText().equals(value);
    }

    private Stream<Double> entries(List<String> names, String array, Predicate<JsonNode> which, String field) {
        List<Double> found = new ArrayList<>();
        for (String name : names) {
            JsonNode figures = parts.path(name).path("figures");
            if (figures.path(PartReport.TRIAL).asBoolean()) {
                continue;
            }
            for (JsonNode entry : figures.path(array)) {
                if (which.test(entry) && entry.path(field).isNumber()) {
                    found.add(entry.path(field).asDouble());
                }
            }
        }
        return found.stream();
    }

    void addTo(ArrayNode array) {
        for (Bar bar : bars) {
            ObjectNode entry = array.addObject();
            entry.put("what", bar.what()).put("measured", bar.measured()).put("unit", bar.unit());
            entry.put("torch", bar.torch()).put("timesTorch", ratio(bar.measured(), bar.torch()));
            entry.put("judged", bar.judged()).put("judgedUnit", bar.judgedUnit());
            entry.put(bar.most() ? "atMost" : "atLeast", bar.bar()).put("verdict", bar.verdict());
        }
    }

    String text() {
        Table table = new Table(1, "what", "measured", "torch", "unit", "judged", "bar", "of", "verdict");
        for (Bar bar : bars) {
            table.add(
                    bar.what(),
                    number(bar.measured()),
                    number(bar.torch()),
                    bar.unit(),
                    number(bar.judged()),
                    (bar.most() ? "<= " : ">= ") + number(bar.bar()),
                    bar.judgedUnit(),
                    bar.verdict());
        }
        return table.toText();
    }

    private static String number(Double value) {
        return value == null
                ? "-"
                : String.format(Locale.ROOT, value >= 10_000 ? "%,.0f" : value >= 100 ? "%.0f" : "%.2f", value);
    }
}
