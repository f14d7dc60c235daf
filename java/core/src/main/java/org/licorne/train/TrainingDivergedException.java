package org.licorne.train;

/** Loss or gradients were not finite for twenty steps on end; going on would be a waste. */
public class TrainingDivergedException extends RuntimeException {
    public TrainingDivergedException(String message) {
        super(message);
    }
}
