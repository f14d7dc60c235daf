package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Availability;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Backends;

/** The provider on the machine that runs the tests, whatever that has. */
class CudaBackendProviderTest {
    private static BackendProvider provider() {
        return Backends.providers().stream()
                .filter(provider -> provider.name().equals("cuda"))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void isFoundAndComesFirst() {
        List<BackendProvider> providers = Backends.providers();
        assertThat(providers.get(0).name()).isEqualTo("cuda");
    }

    @Test
    void probesWithoutHarmAsOftenAsOneLikes() {
        Availability first = provider().probe();
        Availability again = provider().probe();
        assertThat(again).isEqualTo(first);
        if ("cuda".equals(System.getProperty("licorne.require"))) {
            assertThat(first.reason()).isEmpty();
        }
        if (first.available()) {
            assertThat(first.device()).isNotBlank();
            assertThat(first.memoryBytes()).isPositive();
        } else {
            assertThat(first.reason()).isNotBlank().doesNotContain("\n").doesNotContain("NoClassDefFound");
        }
    }

    @Test
    void opensOrSaysWhyNot() {
        Availability availability = provider().probe();
        if (availability.available()) {
            try (Backend backend = Backends.open("cuda")) {
                assertThat(backend.device()).contains(availability.device());
            }
        } else {
            for (int i = 0; i < 2; i++) {
                assertThatThrownBy(() -> provider().open())
                        .isInstanceOf(BackendUnavailableException.class)
                        .hasMessageContaining(availability.reason());
                assertThatThrownBy(() -> Backends.open("cuda"))
                        .isInstanceOf(BackendUnavailableException.class)
                        .hasMessageContaining(availability.reason());
            }
            assertThatCode(() -> Backends.open("reference").close())
                    .as("another backend works")
                    .doesNotThrowAnyException();
        }
    }
}
