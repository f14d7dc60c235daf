package org.licorne.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Headers that lie. Each must be refused with the tensor's name and the byte. */
class SafetensorsHeaderTest {
    @TempDir
    Path directory;

    static Path write(Path file, byte[] header, byte[] data) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(header.length).put(header).put(data);
        return Files.write(file, bytes.array());
    }

    /** Header with ' for " | bytes of data | tensor named | byte named, or -1 for any | part of the message. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "[]|0||8|does not begin with",
                "{|0||-1|not JSON",
                "{}{}|0||10|something follows",
                "{}x|0||-1|not JSON",
                "{'a':1}|0|a|13|its description is not an object",
                "{'a':{}}|0|a|9|'dtype' is missing",
                "{'a':{'dtype':'F32','data_offsets':[0,0]}}|0|a|9|'shape' is missing",
                "{'a':{'dtype':'F32','shape':[0]}}|0|a|9|'data_offsets' is missing",
                "{'a':{'dtype':'F31','shape':[1],'data_offsets':[0,4]}}|4|a|22|unknown dtype 'F31'",
                "{'a':{'dtype':4,'shape':[1],'data_offsets':[0,4]}}|4|a|22|'dtype' is not a string",
                "{'a':{'dtype':'F32','dtype':'F32','shape':[1],'data_offsets':[0,4]}}|4|a|28|'dtype' stands twice",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4],'x':1}}|4|a|-1|unknown key 'x'",
                "{'a':{'dtype':'F32','shape':1,'data_offsets':[0,4]}}|4|a|-1|'shape' is not a list",
                "{'a':{'dtype':'F32','shape':[-1],'data_offsets':[0,4]}}|4|a|37|negative number -1",
                "{'a':{'dtype':'F32','shape':[1.0],'data_offsets':[0,4]}}|4|a|37|not a whole number",
                "{'a':{'dtype':'F32','shape':['1'],'data_offsets':[0,4]}}|4|a|37|not a whole number",
                "{'a':{'dtype':'F32','shape':[9223372036854775808],'data_offsets':[0,4]}}|4|a|37|outside 0 to 2^63",
                "{'a':{'dtype':'F32','shape':[4294967296,4294967296],'data_offsets':[0,4]}}|4|a|9|overflows",
                "{'a':{'dtype':'F64','shape':[2305843009213693952],'data_offsets':[0,0]}}|0|a|9|overflows",
                "{'a':{'dtype':'U8','shape':[9223372036854775807],'data_offsets':[0,9223372036854775807]}}"
                        + "|4|a|-1|cut short",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[4,0]}}|4|a|9|before it begins",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4,8]}}|4|a|-1|more than 2",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0]}}|4|a|9|holds 1 numbers",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}|3|a|62|cut short",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,4]}}|4|a|62|needs 8",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}|6|a|66|belong to no tensor",
                "{}|3||10|belong to no tensor",
                "{'a':{'dtype':'U8','shape':[2],'data_offsets':[1,3]}}|3|a|61|a hole of 1 bytes",
                "{'a':{'dtype':'U8','shape':[2],'data_offsets':[0,2]},"
                        + "'b':{'dtype':'U8','shape':[2],'data_offsets':[1,3]}}"
                        + "|3|b|-1|overlaps that of 'a'",
                "{'a':{'dtype':'U8','shape':[2],'data_offsets':[0,2]},"
                        + "'a':{'dtype':'U8','shape':[2],'data_offsets':[0,2]}}"
                        + "|2|a|61|stands twice in the header",
                "{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0]},"
                        + "'\\u0061':{'dtype':'U8','shape':[0],'data_offsets':[0,0]}}"
                        + "|0|a|61|stands twice in the header",
                "{'__metadata__':[]}|0||-1|is not an object",
                "{'__metadata__':{'a':1}}|0||-1|is not a string",
                "{'__metadata__':{'a':'1','a':'2'}}|0||-1|stands twice",
                "{'__metadata__':{},'__metadata__':{}}|0||-1|stands twice",
            })
    void refuses(String header, int dataBytes, String tensor, long byteOffset, String message) throws IOException {
        Path file = write(
                directory.resolve("hostile.safetensors"),
                header.replace('\'', '"').getBytes(StandardCharsets.UTF_8),
                new byte[dataBytes]);
        CheckpointException e = refused(file);
        assertThat(e.tensor()).isEqualTo(tensor);
        assertThat(e).hasMessageContaining(message).hasMessageContaining("hostile.safetensors");
        if (byteOffset >= 0) {
            assertThat(e.byteOffset()).as(e.getMessage()).isEqualTo(byteOffset);
        }
    }

    @Test
    void refusesLengthsThatLie() throws IOException {
        for (long length : new long[] {-1, Long.MIN_VALUE, 100_000_001, Long.MAX_VALUE}) {
            assertThat(refused(writeLength(length))).hasMessageContaining("100000000 are the most");
        }
        assertThat(refused(writeLength(3))).hasMessageContaining("only 2 follow");
        assertThat(refused(writeLength(100_000_000))).hasMessageContaining("only 2 follow");
        assertThat(refused(Files.write(directory.resolve("short"), new byte[7])))
                .hasMessageContaining("ends after 7");
        assertThat(refused(Files.write(directory.resolve("empty"), new byte[0])))
                .hasMessageContaining("ends after 0");
        assertThat(refused(Files.write(directory.resolve("zero"), new byte[8]))).hasMessageContaining("does not begin");
        byte[] indented = " {}".getBytes(StandardCharsets.UTF_8);
        assertThat(refused(write(directory.resolve("indented"), indented, new byte[0])))
                .hasMessageContaining("does not begin");
    }

    @Test
    void refusesTextThatIsNotUtf8() throws IOException {
        byte[] header = "{\"a?\":1}".getBytes(StandardCharsets.UTF_8);
        header[3] = (byte) 0xff;
        CheckpointException e = refused(write(directory.resolve("latin.safetensors"), header, new byte[0]));
        assertThat(e).hasMessageContaining("not UTF-8");
        assertThat(e.byteOffset()).isEqualTo(11);
        byte[] wide = "{}".getBytes(StandardCharsets.UTF_16LE);
        assertThat(refused(write(directory.resolve("wide.safetensors"), wide, new byte[0])))
                .hasMessageContaining("NUL");
    }

    @Test
    void showsHostileNamesHarmlessly() throws IOException {
        String name = "\\u001b[2J\\n" + "x".repeat(5000);
        CheckpointException e = refused(write(
                directory.resolve("name.safetensors"),
                ("{\"" + name + "\":1}").getBytes(StandardCharsets.UTF_8),
                new byte[0]));
        assertThat(e.getMessage())
                .doesNotContain("\u001b", "\n")
                .contains("\\u001b")
                .hasSizeLessThan(600);
    }

    @Test
    void refusesDeepNesting() throws IOException {
        byte[] header = ("{\"a\":{\"dtype\":" + "[".repeat(100_000)).getBytes(StandardCharsets.UTF_8);
        refused(write(directory.resolve("deep.safetensors"), header, new byte[0]));
    }

    private Path writeLength(long length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(length).put((byte) '{').put((byte) '}');
        return Files.write(directory.resolve("length.safetensors"), bytes.array());
    }

    private static CheckpointException refused(Path file) {
        CheckpointException e = catchThrowableOfType(CheckpointException.class, () -> Safetensors.open(file));
        assertThat(e).as("the file must be refused").isNotNull();
        return e;
    }
}
