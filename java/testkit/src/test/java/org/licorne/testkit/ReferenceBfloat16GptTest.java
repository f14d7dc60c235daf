package org.licorne.testkit;

import org.licorne.backend.Backend;

class ReferenceBfloat16GptTest extends GptBfloat16Contract {
    @Override
    protected Backend open() {
        return Bfloat16Reference.open();
    }
}
