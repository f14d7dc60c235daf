package org.licorne.bench;

import java.util.Locale;

/** How quantities are written in tables. */
public final class Figures {
    private Figures() {}

    public static String seconds(double seconds) {
        if (seconds < 1e-3) {
            return significant(seconds * 1e6) + " µs";
        }
        return seconds < 1 ? significant(seconds * 1e3) + " ms" : significant(seconds) + " s";
    }

    public static String gigabytes(double bytes) {
        return bytes > 0 ? String.format(Locale.ROOT, "%.2f GB", bytes * 1e-9) : "–";
    }

    public static String percent(double percent) {
        return Double.isFinite(percent)
                ? String.format(Locale.ROOT, percent < 1 ? "%.2f %%" : "%.0f %%", percent)
                : "–";
    }

    public static String times(double factor) {
        return significant(factor) + " ×";
    }

    /** Three significant digits. */
    public static String significant(double value) {
        double magnitude = Math.abs(value);
        String format = magnitude >= 100 ? "%,.0f" : magnitude >= 10 ? "%.1f" : "%.2f";
        return String.format(Locale.ROOT, format, value);
    }
}
