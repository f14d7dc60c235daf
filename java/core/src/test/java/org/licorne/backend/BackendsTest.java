package org.licorne.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.reference.ReferenceBackendProvider;

class BackendsTest {
    private static final BackendProvider REFERENCE = new ReferenceBackendProvider();

    /** A backend that no machine has. */
    private static final BackendProvider ABACUS = new BackendProvider() {
        @Override
        public String name() {
            return "abacus";
        }

        @Override
        public int rank() {
            return 100;
        }

        @Override
        public Availability probe() {
            return Availability.unavailable("its beads are missing");
        }

        @Override
        public Backend open() {
            throw new BackendUnavailableException("its beads are missing");
        }
    };

    @Test
    void whatIsNotAvailableIsPassedOver() {
        try (Backend backend = Backends.best(List.of(ABACUS, REFERENCE))) {
            assertThat(backend.name()).isEqualTo("reference");
        }
    }

    @Test
    void whatIsNotAvailableButHasSettingsIsAnError() {
        System.setProperty("licorne.abacus.beads", "wood");
        try {
            assertThatThrownBy(() -> Backends.best(List.of(ABACUS, REFERENCE)))
                    .isInstanceOf(BackendUnavailableException.class)
                    .hasMessage("backend 'abacus' is not available: its beads are missing");
        } finally {
            System.clearProperty("licorne.abacus.beads");
        }
    }

    @Test
    void whatTheMachineDoesNotHaveIsPassedOverTooAndStillExplained() {
        BackendProvider absent = new BackendProvider() {
            @Override
            public String name() {
                return "quantum";
            }

            @Override
            public int rank() {
                return 200;
            }

            @Override
            public Availability probe() {
                return Availability.absent("there is no quantum computer");
            }

            @Override
            public Backend open() {
                throw new BackendUnavailableException("there is no quantum computer");
            }
        };
        try (Backend backend = Backends.best(List.of(absent, REFERENCE))) {
            assertThat(backend.name()).isEqualTo("reference");
        }
        assertThatThrownBy(() -> Backends.best(List.of(absent, ABACUS)))
                .isInstanceOf(BackendUnavailableException.class)
                .hasMessageContaining("quantum: there is no quantum computer")
                .hasMessageContaining("abacus: its beads are missing");
    }

    @Test
    void whereNothingIsAvailableTheReasonsAreGiven() {
        assertThatThrownBy(() -> Backends.best(List.of(ABACUS)))
                .isInstanceOf(BackendUnavailableException.class)
                .hasMessageContaining("no backend is available")
                .hasMessageContaining("abacus: its beads are missing");
    }
}
