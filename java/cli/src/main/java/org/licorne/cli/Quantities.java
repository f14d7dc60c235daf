package org.licorne.cli;

import java.time.Duration;
import java.util.Locale;

/** Numbers with their unit, rounded for people; always with a decimal point, whatever the locale. */
final class Quantities {
    private static final String[] BYTE_UNITS = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    private static final String[] SCALES = {"", " k", " M", " G", " T", " P", " E"};

    private Quantities() {}

    static String bytes(double bytes) {
        int unit = 0;
        double value = bytes;
        while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        return (unit == 0 ? format("%.0f", value) : threeDigits(value)) + " " + BYTE_UNITS[unit];
    }

    /** 124_439_808 becomes {@code 124 M}. */
    static String count(double count) {
        int scale = 0;
        double value = count;
        while (value >= 1000 && scale < SCALES.length - 1) {
            value /= 1000;
            scale++;
        }
        return (scale == 0 ? format("%.0f", value) : threeDigits(value)) + SCALES[scale];
    }

    static String duration(Duration duration) {
        long seconds = Math.max(0, duration.toSeconds());
        if (seconds < 60) {
            return seconds + " s";
        }
        if (seconds < 3600) {
            return format("%d min %02d s", seconds / 60, seconds % 60);
        }
        return format("%d h %02d min", seconds / 3600, seconds % 3600 / 60);
    }

    static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }

    private static String threeDigits(double value) {
        return format(value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value);
    }
}
