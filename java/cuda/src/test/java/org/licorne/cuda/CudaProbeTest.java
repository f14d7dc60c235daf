package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Availability;

class CudaProbeTest {
    /** An installation in order, until a test takes something away. */
    private static final class Fake implements CudaInstallation {
        private boolean gpu = true;
        private int driver = 13000;
        private int devices = 1;
        private int capability = 90;
        private String kernels = CudaLibrary.VERSION;
        private String missingLibrary;
        private boolean missingProducts;

        @Override
        public boolean hasGpu() {
            return gpu;
        }

        @Override
        public int driverVersion() {
            if (missingLibrary != null && !missingProducts) {
                throw notFound(missingLibrary);
            }
            return driver;
        }

        /** As JavaCPP throws it: the reason lies in the cause. */
        private static LinkageError notFound(String library) {
            LinkageError error = new UnsatisfiedLinkError("no jnicudart in java.library.path");
            error.initCause(new UnsatisfiedLinkError("/cache/libjnicudart.so: "
                    + (library.contains(" ")
                            ? library
                            : library + ": cannot open shared object file: No such file or directory")));
            return error;
        }

        @Override
        public String errorName(int error) {
            return "cudaErrorUnknown";
        }

        @Override
        public int devices() {
            return devices;
        }

        @Override
        public int computeCapability(int device) {
            return capability;
        }

        @Override
        public String name(int device) {
            return "NVIDIA Test " + device;
        }

        @Override
        public long totalBytes(int device) {
            return 1L << 36;
        }

        @Override
        public void loadProducts() {
            if (missingProducts) {
                throw notFound(missingLibrary);
            }
        }

        @Override
        public String loadKernels() {
            return kernels;
        }
    }

    private final Fake installation = new Fake();

    @AfterEach
    void forgetTheDevice() {
        System.clearProperty(CudaProbe.DEVICE);
    }

    private String reason() {
        Availability availability = CudaProbe.probe(installation);
        assertThat(availability.available()).isFalse();
        assertThat(availability.reason()).doesNotContain("\n").isNotBlank();
        return availability.reason();
    }

    @Test
    void saysWhatIsThere() {
        Availability availability = CudaProbe.probe(installation);
        assertThat(availability.reason()).isEmpty();
        assertThat(availability.available()).isTrue();
        assertThat(availability.device()).isEqualTo("NVIDIA Test 0");
        assertThat(availability.instructionSet()).isEqualTo("sm_90");
        assertThat(availability.memoryBytes()).isEqualTo(1L << 36);
    }

    @Test
    void saysWhatIsMissing() {
        installation.driver = 0;
        assertThat(reason()).isEqualTo("no NVIDIA driver");
        installation.driver = 12040;
        assertThat(reason()).isEqualTo("the NVIDIA driver is too old: it supports CUDA 12.4, and 13.0 is needed");
        installation.driver = 13010;
        installation.devices = 0;
        assertThat(reason()).contains("no NVIDIA GPU");
        installation.devices = -802;
        assertThat(reason()).contains("cudaErrorUnknown (802)");
        installation.devices = 2;
        installation.capability = 75;
        assertThat(reason()).isEqualTo("NVIDIA Test 0 has compute capability 7.5, and 8.0 (Ampere) is needed");
        installation.capability = 80;
        installation.kernels = "0.0.9";
        assertThat(reason()).contains("0.0.9").contains(CudaLibrary.VERSION);
    }

    @Test
    void namesTheLibraryThatDoesNotLoad() {
        installation.missingLibrary = "libcuda.so.1";
        assertThat(reason()).contains("no NVIDIA driver").contains("libcuda.so.1");
        installation.missingLibrary = "libcudart.so.13";
        assertThat(reason())
                .contains("CUDA 13's runtime")
                .contains("libcudart.so.13")
                .endsWith("linux-x86_64-redist on the class path");
        installation.missingProducts = true;
        installation.missingLibrary = "libcublasLt.so.13";
        assertThat(reason())
                .contains("cuBLAS")
                .contains("libcublasLt.so.13")
                .endsWith("linux-x86_64-redist-cublas on the class path");
        installation.missingLibrary = "liblicorne_cuda.so";
        assertThat(reason()).contains("the CUDA kernels do not load").contains("linux-x86_64");
    }

    @Test
    void saysThatTheSystemIsTooOldForTheKernels() {
        installation.missingProducts = true; // i.e. what comes after the driver
        String required = " not found (required by /cache/liblicorne_cuda.so)";
        installation.missingLibrary = "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.36'" + required;
        assertThat(reason())
                .contains("system's glibc is older")
                .contains("GLIBC_2.36")
                .contains("newer Linux")
                .doesNotContain("class path");
        installation.missingLibrary = "/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32'" + required;
        assertThat(reason()).contains("system's libstdc++ is older").contains("GLIBCXX_3.4.32");
        installation.missingLibrary = "/lib/libc.so.6: version `GLIBC_2.99' not found (required by libcudart.so.13)";
        assertThat(reason()).contains("GLIBC_2.99").doesNotContain("runtime was not found");
    }

    @Test
    void expectsNothingOfAMachineWithoutAGpu() {
        installation.missingLibrary = "libcuda.so.1";
        assertThat(CudaProbe.probe(installation).expected()).isTrue();
        installation.gpu = false;
        assertThat(reason()).isEqualTo("there is no NVIDIA GPU (no NVIDIA driver: libcuda.so.1 was not found)");
        assertThat(CudaProbe.probe(installation).expected()).isFalse();
    }

    @Test
    void refusesADeviceThatIsNotThere() {
        System.setProperty(CudaProbe.DEVICE, "1");
        assertThat(reason()).contains("no device 1").contains("only device 0");
        installation.devices = 4;
        assertThat(CudaProbe.probe(installation).device()).isEqualTo("NVIDIA Test 1");
        System.setProperty(CudaProbe.DEVICE, "7");
        assertThat(reason()).contains("no device 7").contains("0 to 3");
        for (String nonsense : new String[] {"-1", "first", "1.5"}) {
            System.setProperty(CudaProbe.DEVICE, nonsense);
            assertThat(reason()).contains(nonsense).contains("not a device number");
        }
    }
}
