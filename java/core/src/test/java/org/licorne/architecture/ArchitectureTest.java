package org.licorne.architecture;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Who may know whom: arrows point inward. */
@AnalyzeClasses(packages = "org.licorne", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    @ArchTest
    static final ArchRule tensorsKnowNobody = classes()
            .that()
            .resideInAPackage("org.licorne.tensor..")
            .should()
            .onlyDependOnClassesThat()
            .resideInAnyPackage("org.licorne.tensor..", "java..");

    @ArchTest
    static final ArchRule theBackendInterfaceKnowsOnlyTensors = classes()
            .that()
            .resideInAPackage("org.licorne.backend..")
            .should()
            .onlyDependOnClassesThat()
            .resideInAnyPackage("org.licorne.backend..", "org.licorne.tensor..", "java..", "org.slf4j..");

    @ArchTest
    static final ArchRule theReferenceKnowsOnlyTheBackendInterface = classes()
            .that()
            .resideInAPackage("org.licorne.reference..")
            .should()
            .onlyDependOnClassesThat()
            .resideInAnyPackage(
                    "org.licorne.reference..",
                    "org.licorne.backend..",
                    "org.licorne.tensor..",
                    "org.licorne.random..",
                    "java..");

    @ArchTest
    static final ArchRule randomNumbersKnowNobody = classes()
            .that()
            .resideInAPackage("org.licorne.random..")
            .should()
            .onlyDependOnClassesThat()
            .resideInAnyPackage("org.licorne.random..", "java..");

    @ArchTest
    static final ArchRule nobodyNamesTheReference = noClasses()
            .that()
            .resideOutsideOfPackage("org.licorne.reference..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("org.licorne.reference..");

    @ArchTest
    static final ArchRule layersKnowNeitherModelsNorTraining = noClasses()
            .that()
            .resideInAPackage("org.licorne.nn..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "org.licorne.model..", "org.licorne.train..", "org.licorne.generate..", "org.licorne.checkpoint..")
            .allowEmptyShould(true);

    @ArchTest
    static final ArchRule modelsKnowNeitherTrainingNorGeneration = noClasses()
            .that()
            .resideInAPackage("org.licorne.model..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("org.licorne.train..", "org.licorne.generate..", "org.licorne.checkpoint..")
            .allowEmptyShould(true);

    @ArchTest
    static final ArchRule coreIsPureJava = noClasses()
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("org.bytedeco..", "org.licorne.cpu..", "org.licorne.cuda..", "org.licorne.text..");

    @ArchTest
    static final ArchRule nobodyReachesIntoTheJdk =
            noClasses().should().dependOnClassesThat().resideInAnyPackage("sun..", "jdk.internal..");

    @ArchTest
    static final ArchRule coreWritesNothingToTheConsole =
            noClasses().should().accessField(System.class, "out").orShould().accessField(System.class, "err");

    /** Byte code of other modules is not on this class path, but their sources lie beside it. */
    @Test
    void onlyTheNativeBackendsImportJavaCpp() throws IOException {
        Path modules = Path.of("").toAbsolutePath().getParent();
        assertThat(modules.resolve("core")).isDirectory();
        try (Stream<Path> files = Files.walk(modules)) {
            List<Path> offenders = files.filter(path -> path.toString().endsWith(".java"))
                    .filter(path -> modules.relativize(path).toString().contains("/src/main/"))
                    .filter(path -> !List.of("cpu", "cuda")
                            .contains(modules.relativize(path).getName(0).toString()))
                    .filter(ArchitectureTest::importsJavaCpp)
                    .toList();
            assertThat(offenders).isEmpty();
        }
    }

    private static boolean importsJavaCpp(Path file) {
        try (Stream<String> lines = Files.lines(file)) {
            return lines.anyMatch(
                    line -> line.startsWith("import org.bytedeco") || line.startsWith("import static org.bytedeco"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
