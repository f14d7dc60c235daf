package org.licorne.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Map;

/** Prints what one command measured: a JSON object on one line, or a table. Stateless. */
final class CommandOutput {
    private static final ObjectMapper JSON = new ObjectMapper();

    private CommandOutput() {}

    static void print(Map<String, Object> figures, boolean json) throws JsonProcessingException {
        if (json) {
            Digest.print(JSON.writeValueAsString(figures) + System.lineSeparator());
            return;
        }
        Table table = new Table(1, "", "");
        figures.forEach((name, value) -> {
            if (!name.equals("machine")) {
                table.add(name, value instanceof Double number ? Figures.significant(number) : "" + value);
            }
        });
        Digest.print(table.toText());
    }
}
