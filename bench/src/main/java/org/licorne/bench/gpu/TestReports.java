package org.licorne.bench.gpu;

import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;
import org.xml.sax.SAXException;

/** Sums up what JUnit's console wrote: how many tests ran, and the message of each that failed. */
final class TestReports {
    private static final int LONGEST_MESSAGE = 2000;

    private TestReports() {}

    /**
     * @param feed what the console said meanwhile, which counts where it wrote no report; or null
     * @return 0 if tests ran and none failed
     */
    static int summarise(Path folder, Path feed, PartReport report, PrintStream log) {
        int tests = 0;
        int failed = 0;
        int skipped = 0;
        ArrayNode failures = report.array("failures");
        for (Path file : files(folder)) {
            NodeList cases = read(file).getElementsByTagName("testcase");
            for (int i = 0; i < cases.getLength(); i++) {
                Element test = (Element) cases.item(i);
                tests++;
                Node failure = first(test, "failure", "error");
                if (failure != null) {
                    failed++;
                    String message = failure.getTextContent().strip();
                    failures.addObject()
                            .put("test", test.getAttribute("classname") + ": " + test.getAttribute("name"))
                            .put("message", cut(message));
                } else if (first(test, "skipped") != null) {
                    skipped++;
                }
            }
        }
        if (tests == 0) {
            Map<String, TestFeed.Outcome> outcomes = TestFeed.read(feed);
            tests = outcomes.size();
            for (Map.Entry<String, TestFeed.Outcome> entry : outcomes.entrySet()) {
                TestFeed.Outcome outcome = entry.getValue();
                switch (outcome.status()) {
                    case "SUCCESSFUL" -> {}
                    case "ABORTED", "SKIPPED" -> skipped++;
                    default -> {
                        failed++;
                        boolean ended = outcome.status().equals("FAILED");
                        failures.addObject()
                                .put("test", entry.getKey())
                                .put("message", ended ? cut(outcome.message()) : "it did not end");
                    }
                }
            }
        }
        report.root().put("tests", tests).put("passed", tests - failed - skipped);
        report.root().put("failed", failed).put("skipped", skipped);
        report.write();
        log.println(tests - failed - skipped + " passed, " + failed + " failed, " + skipped + " skipped");
        return tests > 0 && failed == 0 ? 0 : 1;
    }

    private static String cut(String message) {
        return message.substring(0, Math.min(LONGEST_MESSAGE, message.length()));
    }

    private static List<Path> files(Path folder) {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(".xml"))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + folder, e);
        }
    }

    private static Element read(Path file) {
        try {
            return DocumentBuilderFactory.newDefaultInstance()
                    .newDocumentBuilder()
                    .parse(file.toFile())
                    .getDocumentElement();
        } catch (IOException | SAXException | ParserConfigurationException e) {
            throw new IllegalStateException("cannot read " + file + " as a report of tests", e);
        }
    }

    private static Node first(Element test, String... names) {
        for (String name : names) {
            NodeList nodes = test.getElementsByTagName(name);
            if (nodes.getLength() > 0) {
                return nodes.item(0);
            }
        }
        return null;
    }
}
