package org.licorne.generate;

/** Why a text ended. */
public enum FinishReason {
    /** The model wrote a stop token, e.g. the end of the document. */
    STOP_TOKEN,
    /** The text reached a stop string, which is cut off. */
    STOP_STRING,
    /** As many tokens as asked for, or the model's context is full. */
    LENGTH,
    /** {@link Generator#cancel}. */
    CANCELLED
}
