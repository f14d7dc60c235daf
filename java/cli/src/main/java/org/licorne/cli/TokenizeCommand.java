package org.licorne.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.licorne.text.TextFiles;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Turns text files into tokens once, so that many runs can use them. */
@Command(
        name = "tokenize",
        description = "Turn text files into tokens once, for many runs; they may be larger than the memory.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {
            "",
            "Examples:",
            "  ./licorne tokenize --data texts/ --tokenizer gpt2 --output tokens/gpt2",
            "  ./licorne tokenize --data a.txt b.txt --tokenizer train:8192 --output tokens/mine",
            "  ./licorne pretrain --data tokens/mine --size mini --output runs/mine"
        })
final class TokenizeCommand implements Callable<Integer> {
    @Option(
            names = "--data",
            required = true,
            arity = "1..*",
            paramLabel = "FILE|DIR",
            description = "Text files, or directories of them (.txt, .text, .md, each also as .gz), in UTF-8.")
    private List<Path> data;

    @Option(
            names = "--tokenizer",
            paramLabel = "SPEC",
            defaultValue = "train:4096",
            description =
                    "gpt2, chars (single characters), train:N (learn N tokens from the data), or a directory with a"
                            + " tokenizer (default: ${DEFAULT-VALUE}).")
    private String tokenizer;

    @Option(
            names = "--documents",
            paramLabel = "HOW",
            defaultValue = "file",
            description = "Where a document ends: file, or blank_line within files too (default: ${DEFAULT-VALUE}).")
    private TextFiles.Split documents;

    @Option(
            names = "--output",
            required = true,
            paramLabel = "DIR",
            description = "Where tokens and tokenizer are written.")
    private Path output;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        TokenizedText.write(data, documents, tokenizer, output, out);
        out.println("Written to " + output + ". Try:");
        out.println("  ./licorne pretrain --data " + output + " --output runs/mine");
        return 0;
    }
}
