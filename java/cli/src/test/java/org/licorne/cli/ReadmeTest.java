package org.licorne.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.cli.CommandRunner.Outcome;

/** What the README says works: its commands parse, its Java example runs, its pictures and paths exist. */
class ReadmeTest {
    private static final Path ROOT = Path.of("../..").toAbsolutePath().normalize();

    @TempDir
    Path temporary;

    private static String readme() throws IOException {
        return Files.readString(ROOT.resolve("README.md"));
    }

    private static List<String> blocks(String language) throws IOException {
        Matcher matcher =
                Pattern.compile("```" + language + "\n(.*?)```", Pattern.DOTALL).matcher(readme());
        List<String> blocks = new ArrayList<>();
        while (matcher.find()) {
            blocks.add(matcher.group(1));
        }
        return blocks;
    }

    @Test
    void everyCommandParses() throws IOException {
        List<String> commands = blocks("sh").stream()
                .flatMap(String::lines)
                .filter(line -> !line.isBlank())
                .toList();
        assertThat(commands).hasSizeGreaterThan(8).allSatisfy(command -> {
            assertThat(command).startsWith("./licorne");
            HelpTest.assertParses(command);
        });
    }

    @Test
    void theJavaExampleCompilesRunsAndLearnsItsSentence() throws Exception {
        List<String> examples = blocks("java");
        assertThat(examples).hasSize(1);
        Path source = temporary.resolve("Example.java");
        Files.writeString(source, examples.get(0));
        ProcessBuilder builder = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:+UseSerialGC",
                        "-Dfile.encoding=UTF-8",
                        "-cp",
                        System.getProperty("java.class.path"),
                        source.toString())
                .directory(temporary.toFile())
                .redirectErrorStream(true);
        builder.environment().put("LC_ALL", "C.UTF-8");
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(output.strip()).endsWith("台灣大學");
        assertThat(process.exitValue()).isZero();

        Outcome inspected =
                CommandRunner.run("inspect", "--model", temporary.resolve("runs/taiwan"), "--text", "台灣大學", "--top", 1);
        assertThat(inspected.error()).isEmpty();
        List<String[]> rows = inspected
                .out()
                .lines()
                .filter(line -> line.matches(" *\\d+  .*"))
                .map(line -> line.strip().split(" {2,}"))
                .toList();
        assertThat(rows)
                .hasSize(4)
                .allSatisfy(
                        row -> assertThat(row[4]).as("the most probable token").startsWith(row[1] + " "));
    }

    @Test
    void picturesAndDirectoriesThatItNamesExist() throws IOException {
        Matcher pictures = Pattern.compile("!\\[[^\\]]*]\\(([^)]*)\\)").matcher(readme());
        List<String> paths = new ArrayList<>();
        while (pictures.find()) {
            paths.add(pictures.group(1));
        }
        Matcher map = Pattern.compile("(?m)^(licorne|[a-z/]+/) {2,}").matcher(readme());
        while (map.find()) {
            paths.add(map.group(1));
        }
        assertThat(paths)
                .hasSizeGreaterThan(8)
                .allSatisfy(path -> assertThat(ROOT.resolve(path)).exists());
    }
}
