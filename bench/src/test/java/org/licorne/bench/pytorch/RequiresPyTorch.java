package org.licorne.bench.pytorch;

import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Runs a test class where PyTorch's natives exist (Linux on x86-64) and skips it elsewhere with the reason; with {@code
 * -Dlicorne.require=pytorch} a skip is a failure.
 */
@Target(ElementType.TYPE)
@Inherited
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(RequiresPyTorch.Condition.class)
public @interface RequiresPyTorch {
    /** Asks PyTorch whether it can be loaded. */
    final class Condition implements ExecutionCondition {
        @Override
        public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
            String reason = PyTorch.unavailableReason();
            if (reason == null) {
                return ConditionEvaluationResult.enabled("PyTorch is there");
            }
            if (System.getProperty("licorne.require", "").contains("pytorch")) {
                throw new IllegalStateException(reason);
            }
            System.out.println("skipped " + context.getDisplayName() + ": " + reason);
            return ConditionEvaluationResult.disabled(reason);
        }
    }
}
