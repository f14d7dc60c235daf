package org.licorne.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.bytedeco.cuda.cudart.cudaDeviceProp;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.Loader;

/**
 * This machine's installation, asked through the CUDA preset. A class whose loading failed is not touched again: it
 * would answer with another error that no longer says why. Thread-safe.
 */
final class PresetInstallation implements CudaInstallation {
    private static LinkageError failedLoading;

    static {
        // JavaCPP would count device memory against the Java heap and call System.gc(); none of it is its to free. Set
        // before its Pointer class loads, and only if the host application has not chosen.
        for (String limit : new String[] {"maxbytes", "maxphysicalbytes"}) {
            String property = "org.bytedeco.javacpp." + limit;
            if (System.getProperty(property) == null) {
                System.setProperty(property, "0");
            }
        }
    }

    /**
     * Display controllers and accelerators on the PCI bus; the paravirtualised device of Windows' subsystem for Linux.
     */
    @Override
    public boolean hasGpu() {
        if (Files.exists(Path.of("/proc/driver/nvidia")) || Files.exists(Path.of("/dev/dxg"))) {
            return true;
        }
        Path bus = Path.of("/sys/bus/pci/devices");
        if (!Files.isDirectory(bus)) {
            return false;
        }
        try (Stream<Path> devices = Files.list(bus)) {
            return devices.anyMatch(device -> content(device.resolve("vendor")).equals("0x10de")
                    && content(device.resolve("class")).startsWith("0x03"));
        } catch (IOException e) {
            return false;
        }
    }

    private static String content(Path file) {
        try {
            return Files.readString(file).trim();
        } catch (IOException e) {
            return ""; // a device that went away
        }
    }

    private static <T> T loading(Supplier<T> call) {
        synchronized (PresetInstallation.class) {
            if (failedLoading != null) {
                throw failedLoading;
            }
            try {
                return call.get();
            } catch (LinkageError e) {
                failedLoading = e;
                throw e;
            }
        }
    }

    @Override
    public int driverVersion() {
        return loading(() -> {
            int[] version = new int[1];
            int status = cudart.cudaDriverGetVersion(version);
            return status == cudart.cudaSuccess ? version[0] : 0;
        });
    }

    @Override
    public int devices() {
        return loading(() -> {
            int[] count = new int[1];
            int status = cudart.cudaGetDeviceCount(count);
            if (status == cudart.cudaErrorNoDevice) {
                return 0;
            }
            return status == cudart.cudaSuccess ? count[0] : -status;
        });
    }

    @Override
    public String errorName(int error) {
        return loading(() -> cudart.cudaGetErrorName(error).getString());
    }

    @Override
    public int computeCapability(int device) {
        return loading(() -> {
            int[] value = new int[1];
            PresetRuntime.check(
                    cudart.cudaDeviceGetAttribute(value, cudart.cudaDevAttrComputeCapabilityMajor, device),
                    "cudaDeviceGetAttribute");
            int major = value[0];
            PresetRuntime.check(
                    cudart.cudaDeviceGetAttribute(value, cudart.cudaDevAttrComputeCapabilityMinor, device),
                    "cudaDeviceGetAttribute");
            return 10 * major + value[0];
        });
    }

    @Override
    public String name(int device) {
        return loading(() -> {
            try (cudaDeviceProp properties = properties(device)) {
                return properties.name().getString();
            }
        });
    }

    @Override
    public long totalBytes(int device) {
        return loading(() -> {
            try (cudaDeviceProp properties = properties(device)) {
                return properties.totalGlobalMem();
            }
        });
    }

    private static cudaDeviceProp properties(int device) {
        cudaDeviceProp properties = new cudaDeviceProp();
        PresetRuntime.check(cudart.cudaGetDeviceProperties(properties, device), "cudaGetDeviceProperties");
        return properties;
    }

    @Override
    public void loadProducts() {
        loading(() -> Loader.load(cublas.class));
    }

    @Override
    public String loadKernels() {
        return loading(() -> CudaLibrary.licorne_version().getString());
    }
}
