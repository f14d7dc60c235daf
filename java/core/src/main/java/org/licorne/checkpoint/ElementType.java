package org.licorne.checkpoint;

import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.licorne.tensor.DType;

/** The element types of safetensors files, by the names they have there. */
public enum ElementType {
    BOOL(1),
    U8(1),
    I8(1),
    F8_E5M2(1),
    F8_E4M3(1),
    F8_E8M0(1),
    I16(2),
    U16(2),
    F16(2),
    BF16(2),
    I32(4),
    U32(4),
    F32(4),
    F64(8),
    I64(8),
    U64(8),
    C64(8);

    private static final Map<String, ElementType> BY_NAME =
            Stream.of(values()).collect(Collectors.toUnmodifiableMap(Enum::name, Function.identity()));

    private final int bytes;

    ElementType(int bytes) {
        this.bytes = bytes;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }

    /** Whether elements can be read as floats: F32, F16 and BF16. */
    public boolean readsAsFloat() {
        return this == F32 || this == F16 || this == BF16;
    }

    static ElementType of(DType dtype) {
        return valueOf(dtype.name());
    }

    /** The type of that name, or null. */
    static ElementType named(String name) {
        return BY_NAME.get(name);
    }
}
