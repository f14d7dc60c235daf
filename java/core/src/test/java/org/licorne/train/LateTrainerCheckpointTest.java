package org.licorne.train;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;

/** Checkpoints of runs whose last step is still under way when one is due. */
class LateTrainerCheckpointTest extends TrainerCheckpointTest {
    @Override
    Backend openBackend() {
        return new LateBackend(Backends.open("reference"));
    }
}
