package org.licorne.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Rows of text in columns, for a terminal or for Markdown. Not thread-safe. */
public final class Table {
    private final String[] heads;
    private final int leftColumns;
    private final List<String[]> rows = new ArrayList<>();

    /** @param leftColumns how many columns are flush left; the others are flush right */
    public Table(int leftColumns, String... heads) {
        this.leftColumns = leftColumns;
        this.heads = heads.clone();
    }

    public void add(String... cells) {
        if (cells.length != heads.length) {
            throw new IllegalArgumentException(cells.length + " cells for " + heads.length + " columns");
        }
        rows.add(cells.clone());
    }

    /** For a terminal. */
    public String toText() {
        int[] widths = new int[heads.length];
        for (int column = 0; column < heads.length; column++) {
            widths[column] = heads[column].length();
            for (String[] row : rows) {
                widths[column] = Math.max(widths[column], row[column].length());
            }
        }
        StringBuilder text = new StringBuilder();
        line(text, heads, widths);
        for (String[] row : rows) {
            line(text, row, widths);
        }
        return text.toString();
    }

    private void line(StringBuilder text, String[] cells, int[] widths) {
        StringBuilder line = new StringBuilder();
        for (int column = 0; column < cells.length; column++) {
            String blanks = " ".repeat(widths[column] - cells[column].length());
            line.append(column < leftColumns ? cells[column] + blanks : blanks + cells[column])
                    .append("  ");
        }
        text.append(line.toString().stripTrailing()).append(System.lineSeparator());
    }

    /** For a README. */
    public String toMarkdown() {
        StringBuilder text = new StringBuilder();
        markdownLine(text, heads);
        String[] rules = new String[heads.length];
        Arrays.fill(rules, 0, Math.min(leftColumns, rules.length), "---");
        Arrays.fill(rules, Math.min(leftColumns, rules.length), rules.length, "---:");
        markdownLine(text, rules);
        for (String[] row : rows) {
            markdownLine(text, row);
        }
        return text.toString();
    }

    private static void markdownLine(StringBuilder text, String[] cells) {
        text.append("| ").append(String.join(" | ", cells)).append(" |\n");
    }
}
