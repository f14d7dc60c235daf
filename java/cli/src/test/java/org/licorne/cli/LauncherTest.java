package org.licorne.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The launcher script in a small tree of its own, with a Maven and a JDK that only say what they were asked. */
class LauncherTest {
    private static final Path SCRIPT = Path.of("../../licorne").toAbsolutePath().normalize();

    @TempDir
    Path temporary;

    private Path tree;
    private Path tools;
    private String path;

    private record Outcome(int status, String output) {}

    @BeforeEach
    void plantTree() throws IOException {
        tree = temporary.resolve("a tree with spaces");
        tools = temporary.resolve("tools");
        path = tools + ":/usr/bin:/bin";
        write(tree.resolve("pom.xml"), "<project/>");
        write(tree.resolve("java/core/src/One.java"), "class One {}");
        write(tree.resolve("java/core/src/Two.java"), "class Two {}");
        Files.createDirectories(tree.resolve("native"));
        Files.copy(SCRIPT, tree.resolve("licorne"));
        script("jdk/bin/java", "echo \"java: $*\"");
        script("jdk/bin/javac", "");
        write(tools.resolve("jdk/release"), "JAVA_VERSION=\"17.0.9\"\n");
        script("cmake", "echo cmake version 3.25.1");
        script("ninja", "");
        script("c++", "cat >/dev/null");
        script(
                "mvn",
                "case $* in *-v*) echo Apache Maven 3.8.7; exit;; esac",
                "echo built >>\"" + tools + "/builds\"",
                "mkdir -p \"" + tree + "/java/cli/target/lib\"");
    }

    @Test
    void itIsValidBash() throws Exception {
        assertThat(run(temporary, "bash", "-n", SCRIPT.toString()).status()).isZero();
    }

    @Test
    void itBuildsOnceAndAgainOnlyAfterAChange() throws Exception {
        assertThat(launch("sizes").output()).contains("Building Licorne").contains("org.licorne.cli.Licorne sizes");
        assertThat(launch("sizes").output()).doesNotContain("Building").contains("org.licorne.cli.Licorne sizes");
        assertThat(builds()).isEqualTo(1);

        Files.delete(tree.resolve("java/core/src/Two.java"));
        launch("sizes");
        assertThat(builds()).as("after a deletion").isEqualTo(2);

        Path old = tree.resolve("java/core/src/Old.java");
        write(old, "class Old {}");
        Files.setLastModifiedTime(old, java.nio.file.attribute.FileTime.fromMillis(0));
        launch("sizes");
        assertThat(builds()).as("after an old file moved in").isEqualTo(3);

        Files.setLastModifiedTime(
                tree.resolve("java/core/src/One.java"),
                java.nio.file.attribute.FileTime.fromMillis(System.currentTimeMillis() + 2000));
        launch("sizes");
        assertThat(builds()).as("after an edit").isEqualTo(4);
    }

    @Test
    void helpOfACommandIsTheCommandsOwn() throws Exception {
        assertThat(launch("help", "sizes").output()).endsWith("org.licorne.cli.Licorne help sizes\n");
        assertThat(launch("help", "test").output()).endsWith("org.licorne.cli.Licorne help test\n");
        Files.createDirectories(tree.resolve("bench"));
        assertThat(launch("help", "bench").output()).endsWith("org.licorne.bench.Digest --help\n");
    }

    @Test
    void itWorksThroughASymbolicLinkFromAnyDirectory() throws Exception {
        Path link = Files.createSymbolicLink(temporary.resolve("a link"), tree.resolve("licorne"));
        Outcome outcome = run(Path.of("/"), link.toString(), "generate", "--prompt", "two words");
        assertThat(outcome.output()).contains("generate --prompt two words");
        assertThat(outcome.status()).isZero();
    }

    @Test
    void aFailedBuildShowsTheErrorsAndTheLog() throws Exception {
        script(
                "mvn",
                "case $* in *-v*) echo Apache Maven 3.8.7; exit;; esac",
                "echo '[ERROR] One.java:1 is wrong'",
                "exit 1");
        Outcome outcome = launch("sizes");
        assertThat(outcome.status()).isEqualTo(1);
        assertThat(outcome.output())
                .contains("One.java:1 is wrong")
                .contains("build.log")
                .doesNotContain("java: ");
    }

    @Test
    void testSumsAllReportsOnItsLastLine() throws Exception {
        String reports = tree + "/java/core/target/surefire-reports";
        script(
                "mvn",
                "case $* in *-v*) echo Apache Maven 3.8.7; exit;; esac",
                "mkdir -p '" + reports + "' '" + tree + "/java/cli/target/lib'",
                "echo '<testsuite xmlns:x=\"y\" name=\"A\" time=\"1.2\" tests=\"5\" errors=\"0\" skipped=\"2\""
                        + " failures=\"0\">' >'" + reports + "/TEST-A.xml'",
                "echo '100% tests passed, 0 tests failed out of 7'");
        Outcome outcome = launch("test");
        assertThat(outcome.output()
                        .strip()
                        .lines()
                        .reduce((first, second) -> second)
                        .orElseThrow())
                .isEqualTo("10 passed, 0 failed, 2 skipped");
        assertThat(outcome.status()).isZero();
    }

    @Test
    void aFailedTestFailsTheCommand() throws Exception {
        String reports = tree + "/java/core/target/surefire-reports";
        script(
                "mvn",
                "case $* in *-v*) echo Apache Maven 3.8.7; exit;; esac",
                "mkdir -p '" + reports + "'",
                "echo '<testsuite name=\"A\" tests=\"5\" errors=\"1\" skipped=\"0\" failures=\"1\">' >'" + reports
                        + "/TEST-A.xml'",
                "exit 1");
        Outcome outcome = launch("test");
        assertThat(outcome.output()).endsWith("3 passed, 2 failed, 0 skipped\n");
        assertThat(outcome.status()).isEqualTo(1);
    }

    @Test
    void noTestAtAllFailsTheCommand() throws Exception {
        Outcome outcome = launch("test");
        assertThat(outcome.output()).endsWith("0 passed, 0 failed, 0 skipped\n");
        assertThat(outcome.status()).isEqualTo(1);
    }

    @Test
    void missingToolsAreNamedAndInstalledByRoot() throws Exception {
        onlyTheseTools();
        Files.delete(tools.resolve("cmake"));
        Files.delete(tools.resolve("ninja"));
        script("id", "echo 0");
        script(
                "apt-get",
                "case $* in *install*) ;; *) exit;; esac",
                "echo \"installing: $*\"",
                "printf '#!/bin/sh\\necho cmake version 3.20.0\\n' >'" + tools + "/cmake'",
                "printf '#!/bin/sh\\n' >'" + tools + "/ninja'",
                "chmod +x '" + tools + "/cmake' '" + tools + "/ninja'");
        Outcome outcome = launch("sizes");
        assertThat(outcome.output())
                .contains("CMake, version 3.20 or later", "Ninja: runs the native build", "cmake ninja-build")
                .doesNotContain("JDK", "Maven,")
                .contains("org.licorne.cli.Licorne sizes");
        assertThat(outcome.status()).isZero();
    }

    @Test
    void fedoraGetsItsToolsFromDnf() throws Exception {
        onlyTheseTools();
        Path find = Files.move(tools.resolve("find"), tools.resolve("find.hidden"));
        Files.delete(tools.resolve("ninja"));
        script("id", "echo 0");
        script(
                "dnf",
                "case $* in '-q -y install ninja-build findutils') ;; *) echo \"asked: $*\"; exit 1;; esac",
                "printf '#!/bin/sh\\n' >'" + tools + "/ninja'",
                "chmod +x '" + tools + "/ninja'",
                "mv '" + find + "' '" + tools + "/find'");
        Outcome outcome = launch("sizes");
        assertThat(outcome.output())
                .contains("Ninja: runs the native build", "find: sees which files changed")
                .contains("Installing: ninja-build findutils")
                .contains("org.licorne.cli.Licorne sizes")
                .doesNotContain("asked:");
        assertThat(outcome.status()).isZero();
    }

    @Test
    void nobodyToAskAndNoRootInstallsNothingUnlessTold() throws Exception {
        onlyTheseTools();
        script("cmake", "echo cmake version 3.18.4");
        script("id", "echo 1000");
        script("sudo", "\"$@\"");
        script(
                "apt-get",
                "case $* in *install*) echo '#!/bin/sh\necho cmake version 4.0.1' >'" + tools + "/cmake';; esac");
        Outcome refused = launch("sizes");
        assertThat(refused.status()).isEqualTo(1);
        assertThat(refused.output())
                .contains("CMake, version 3.20 or later", "--yes installs them")
                .doesNotContain("java: ");
        assertThat(launch("sizes", "--yes").output()).endsWith("org.licorne.cli.Licorne sizes\n");
    }

    @Test
    void withoutAPackageManagerItSaysWhatToInstall() throws Exception {
        onlyTheseTools();
        Files.delete(tools.resolve("mvn"));
        Outcome outcome = launch("sizes", "--yes");
        assertThat(outcome.status()).isEqualTo(1);
        assertThat(outcome.output()).contains("Maven, version 3.6.3 or later", "Please install these");
    }

    /** Leaves the launcher no program but the shell's everyday ones and those of this test. */
    private void onlyTheseTools() throws IOException {
        String everyday =
                "bash sh sed head tail find dirname readlink sort cksum awk cat mkdir mv rm tee grep env sleep chmod";
        for (String name : everyday.split(" ")) {
            Path program = Path.of("/usr/bin", name);
            script(name, "exec " + (Files.exists(program) ? program : Path.of("/bin", name)) + " \"$@\"");
        }
        path = tools.toString();
    }

    private Outcome launch(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(tree.resolve("licorne").toString()));
        command.addAll(List.of(arguments));
        return run(temporary, command.toArray(String[]::new));
    }

    private Outcome run(Path directory, String... command) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(directory.toFile())
                .redirectErrorStream(true)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
        builder.environment().put("PATH", path);
        builder.environment().put("JAVA_HOME", tools.resolve("jdk").toString());
        builder.environment().remove("CXX");
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        return new Outcome(process.exitValue(), output);
    }

    private long builds() throws IOException {
        return Files.readAllLines(tools.resolve("builds")).size();
    }

    private void script(String name, String... lines) throws IOException {
        Path file = tools.resolve(name);
        write(file, "#!/bin/sh\n" + String.join("\n", lines) + "\n");
        assertThat(file.toFile().setExecutable(true)).isTrue();
    }

    private static void write(Path file, String content) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, content);
    }
}
