package org.licorne.checkpoint;

import java.util.Map;
import org.licorne.nn.Parameter;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * How the matrices of a quantised model lie in {@code model.safetensors}. Everything else is F32 as always.
 *
 * <ul>
 *   <li>In BF16 they have dtype {@code BF16} and Hugging Face's shapes, so that Python opens the file too.
 *   <li>In Q8 and Q4 a matrix of (rows, columns) weights, rows being outputs of the linear map or tokens, is a tensor
 *       of dtype {@code U8} and shape (⌈rows/16⌉, ⌈columns/32⌉, bytes of a tile): the tiles that {@link DType}
 *       describes, as they are. No other program knows them, and {@code format} is {@code licorne} so that it says so.
 * </ul>
 *
 * <p>{@code __metadata__} names the type and the version of this layout; what it does not know, a reader refuses.
 */
final class SmallWeights {
    private static final String WEIGHTS = "licorne.weights";
    private static final String VERSION = "licorne.weights.version";
    private static final String LAYOUT = "licorne.weights.layout";
    private static final String KNOWN_VERSION = "1";
    private static final Map<String, DType> TYPES = Map.of("bf16", DType.BF16, "q8", DType.Q8, "q4", DType.Q4);

    private SmallWeights() {}

    /** What a file's matrices are stored in; F32 stands for any float type, which the file says tensor by tensor. */
    static DType of(Safetensors file) {
        String name = file.metadata().get(WEIGHTS);
        if (name == null) {
            return DType.F32;
        }
        DType type = TYPES.get(name);
        String version = file.metadata().get(VERSION);
        if (type == null || !KNOWN_VERSION.equals(version)) {
            throw new CheckpointException(
                    file.path(),
                    "its weights are in " + CheckpointException.quote(name) + ", version "
                            + CheckpointException.quote(String.valueOf(version))
                            + ", but this Licorne knows bf16, q8 and q4, version " + KNOWN_VERSION,
                    "Read it with the Licorne that wrote it, or convert the original again");
        }
        return type;
    }

    /** As it is typed and written: {@code q8}. */
    static String name(DType type) {
        return TYPES.entrySet().stream()
                .filter(entry -> entry.getValue() == type)
                .map(Map.Entry::getKey)
                .findFirst()
                .orElseThrow();
    }

    /** Describes the file; {@link #add} adds the matrices. */
    static void describe(SafetensorsWriter writer, DType type) {
        writer.metadata("format", type.isTile() ? "licorne" : "pt")
                .metadata(WEIGHTS, name(type))
                .metadata(VERSION, KNOWN_VERSION);
        if (type.isTile()) {
            boolean eight = type == DType.Q8;
            writer.metadata(
                    LAYOUT,
                    "tiles of 16 rows (outputs or tokens) by 32 columns; each: 16 binary16 scales, then "
                            + (eight
                                    ? "q+128 of row r, column k as byte (k/4)*64 + r*4 + k%4"
                                    : "q+8 of row r, columns k and k+16 (k<16), in the lower and upper half of byte "
                                            + "(k/4)*64 + r*4 + k%4")
                            + "; weight = q * scale of its row");
        }
    }

    private static long[] fileShape(Gpt2Format.Entry entry, DType type) {
        if (!type.isTile()) {
            return entry.shape();
        }
        long[] tiles = type.matrixShape(entry.rows(), entry.columns());
        return new long[] {tiles[0], tiles[1], type.bytes()};
    }

    /** The part of a matrix's memory that is in the file: without rows of padding beyond the last tile. */
    private static Tensor memory(Gpt2Format.Entry entry, Parameter parameter) {
        return parameter.small().part(entry.name(), 0, parameter.dtype().matrixShape(entry.rows(), entry.columns()));
    }

    /** Adds a matrix to what will be written. */
    static void add(SafetensorsWriter writer, Gpt2Format.Entry entry, Parameter parameter) {
        DType type = parameter.dtype();
        Tensor memory = memory(entry, parameter);
        long[] shape = fileShape(entry, type);
        if (type.isTile()) {
            writer.addBytes(entry.name(), ElementType.U8, shape, memory);
        } else if (entry.transposed()) {
            writer.add(
                    entry.name(),
                    ElementType.BF16,
                    shape,
                    sink -> Transposition.transpose(memory::read, memory.size(0), memory.size(1), sink::floats));
        } else {
            writer.add(entry.name(), memory);
        }
    }

    /** @throws CheckpointException if the file's tensor is not the matrix in that type */
    static void check(TensorEntry found, Gpt2Format.Entry entry, DType type) {
        ElementType wanted = type.isTile() ? ElementType.U8 : ElementType.BF16;
        if (found.type() != wanted) {
            throw found.error(
                    "its type is " + found.type() + ", but the file says that its matrices are in " + name(type)
                            + ", which is " + wanted,
                    null);
        }
        Safetensors.requireShape(found, fileShape(entry, type));
    }

    /** Reads a matrix from the mapped file into its memory. */
    static void read(Safetensors file, String name, Gpt2Format.Entry entry, Parameter parameter) {
        Tensor memory = memory(entry, parameter);
        if (parameter.dtype().isTile()) {
            file.copyBytes(name, memory);
        } else {
            ModelDirectory.readFloats(file, name, entry, memory);
        }
    }
}
