package org.licorne.text;

import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Provide;
import net.jqwik.api.domains.DomainContextBase;

/** Text to fuzz tokenizers with: any code point and any UTF-16 unit, and mixtures that look like real text. */
class AnyText extends DomainContextBase {
    @Provide
    Arbitrary<String> text() {
        Arbitrary<String> codePoint =
                Arbitraries.integers().between(0, Character.MAX_CODE_POINT).map(Character::toString);
        Arbitrary<String> piece = Arbitraries.oneOf(
                codePoint,
                Arbitraries.integers().between(0, 0x2FF).map(Character::toString),
                Arbitraries.integers().between(0x4E00, 0x9FFF).map(Character::toString),
                Arbitraries.integers().between(0x1F300, 0x1FAFF).map(Character::toString),
                Arbitraries.of(
                        " ",
                        "  ",
                        "\n",
                        "\r\n",
                        "\t",
                        "\u00A0",
                        "\u3000",
                        "\u0000",
                        "'s",
                        "'t",
                        "'re",
                        "'ve",
                        "'m",
                        "'ll",
                        "'d",
                        "'",
                        "I",
                        "the",
                        " the",
                        "unicorn",
                        "white horse",
                        "12",
                        "3.14",
                        "...",
                        "!?",
                        "<|endoftext|>",
                        "caf\u00E9",
                        "e\u0301",
                        "\uD83D\uDC68\u200D\uD83D\uDC69\u200D\uD83D\uDC67",
                        "\uD83C\uDDF9\uD83C\uDDFC",
                        "\uD800",
                        "\uDC00",
                        "\u53F0\u7063\u5927\u5B78",
                        "\uFEFF"));
        return piece.list().ofMaxSize(40).map(pieces -> String.join("", pieces));
    }
}
