package org.licorne.testkit;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.reference.ReferenceBackend;
import org.licorne.tensor.DType;

/**
 * The reference as a backend that keeps activations, and a copy of the weights, in bfloat16 when asked for BF16: what a
 * GPU does, on any machine. The reference itself does not offer it to users, who would gain nothing.
 */
public final class Bfloat16Reference {
    private Bfloat16Reference() {}

    /** The caller closes it. */
    public static Backend open() {
        ReferenceBackend reference = new ReferenceBackend("reference", 1);
        return (Backend) Proxy.newProxyInstance(
                Backend.class.getClassLoader(), new Class<?>[] {Backend.class}, (proxy, method, arguments) -> {
                    switch (method.getName()) {
                        case "supports":
                            return true;
                        case "preferredPrecision":
                            return Precision.BF16;
                        case "kernels":
                            boolean half = arguments != null && arguments[0] == Precision.BF16;
                            return reference.specification(half ? DType.BF16 : DType.F32);
                        default:
                            try {
                                return method.invoke(reference, arguments);
                            } catch (InvocationTargetException e) {
                                throw e.getCause();
                            }
                    }
                });
    }
}
