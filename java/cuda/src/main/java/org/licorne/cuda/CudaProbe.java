package org.licorne.cuda;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.licorne.backend.Availability;

/** Finds out whether the CUDA backend can work here, and if not, says in one sentence what is missing. Stateless. */
final class CudaProbe {
    /** System property: number of the device to use, from 0. */
    static final String DEVICE = "licorne.cuda.device";

    /** The oldest CUDA whose libraries the bindings fit. */
    static final int LEAST_DRIVER = 13000;

    /** bfloat16 in the matrix units and asynchronous copies begin with Ampere. */
    static final int LEAST_CAPABILITY = 80;

    /** As the dynamic linker says it: version `GLIBC_2.36' not found (required by ...). */
    private static final Pattern NEWER_SYSTEM =
            Pattern.compile("version [`'\"]?((?:GLIBC|GLIBCXX|CXXABI)_[0-9.]+)[`'\"]? not found");

    private CudaProbe() {}

    /** Never throws. */
    static Availability probe(CudaInstallation installation) {
        Availability availability = withDriver(installation);
        return availability.available() || installation.hasGpu()
                ? availability
                : Availability.absent("there is no NVIDIA GPU (" + availability.reason() + ")");
    }

    private static Availability withDriver(CudaInstallation installation) {
        try {
            String reason = missing(installation);
            if (!reason.isEmpty()) {
                return Availability.unavailable(reason);
            }
            int device = device();
            int capability = installation.computeCapability(device);
            return Availability.available(
                    installation.name(device), "sm_" + capability, installation.totalBytes(device));
        } catch (LinkageError e) {
            return Availability.unavailable(notLoaded(e));
        } catch (RuntimeException e) {
            return Availability.unavailable(e.getMessage() == null ? e.toString() : e.getMessage());
        }
    }

    /** The device that was asked for, 0 if none was. */
    static int device() {
        String asked = System.getProperty(DEVICE);
        if (asked == null || asked.isBlank()) {
            return 0;
        }
        try {
            int device = Integer.parseInt(asked.trim());
            if (device >= 0) {
                return device;
            }
        } catch (NumberFormatException e) {
            // the message below says what is wanted
        }
        throw new IllegalArgumentException("-D" + DEVICE + "=" + asked + " is not a device number such as 0");
    }

    private static String missing(CudaInstallation installation) {
        int driver = installation.driverVersion();
        if (driver == 0) {
            return "no NVIDIA driver";
        }
        if (driver < LEAST_DRIVER) {
            return "the NVIDIA driver is too old: it supports CUDA " + version(driver) + ", and "
                    + version(LEAST_DRIVER) + " is needed";
        }
        int devices = installation.devices();
        if (devices < 0) {
            return "CUDA cannot list its devices: " + installation.errorName(-devices) + " (" + -devices + ")";
        }
        if (devices == 0) {
            return "there is a driver, but no NVIDIA GPU that it may use";
        }
        int device = device();
        if (device >= devices) {
            return "there is no device " + device + ", which -D" + DEVICE + " asks for; there "
                    + (devices == 1 ? "is only device 0" : "are devices 0 to " + (devices - 1));
        }
        int capability = installation.computeCapability(device);
        if (capability < LEAST_CAPABILITY) {
            return installation.name(device) + " has compute capability " + capability / 10 + "." + capability % 10
                    + ", and 8.0 (Ampere) is needed";
        }
        installation.loadProducts();
        String kernels = installation.loadKernels();
        return kernels.equals(CudaLibrary.VERSION)
                ? ""
                : "the kernels are version " + kernels + ", the jar " + CudaLibrary.VERSION;
    }

    static String version(int cuda) {
        return cuda / 1000 + "." + cuda % 1000 / 10;
    }

    private static String redistributed(String classifier) {
        return "org.bytedeco:cuda's jar with the classifier " + classifier + " on the class path";
    }

    /** What a library that does not load means for a user. */
    static String notLoaded(LinkageError error) {
        Throwable cause = error;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        String message = String.valueOf(cause.getMessage());
        Matcher newer = NEWER_SYSTEM.matcher(message);
        if (newer.find()) { // before all else: the message names libraries that are there
            String wanted = newer.group(1);
            boolean compiler = wanted.startsWith("GLIBCXX") || wanted.startsWith("CXXABI");
            String library = compiler ? "libstdc++" : "glibc";
            return "the system's " + library + " is older than the CUDA kernels need (" + wanted
                    + " was not found): use a newer Linux, or build Licorne on this one";
        }
        if (message.contains("libcuda.so")) {
            return "no NVIDIA driver: libcuda.so.1 was not found";
        }
        if (message.contains("libcudart.so")) {
            return "CUDA 13's runtime was not found (libcudart.so.13): install CUDA 13, or put the folder of the"
                    + " library on LD_LIBRARY_PATH or " + redistributed("linux-x86_64-redist");
        }
        if (message.contains("libcublas")) {
            return "cuBLAS of CUDA 13 was not found (libcublas.so.13, libcublasLt.so.13): install CUDA 13, or put the"
                    + " folder of the libraries on LD_LIBRARY_PATH or " + redistributed("linux-x86_64-redist-cublas");
        }
        if (message.matches("(no|Could not find) jni(cudart|cublas|javacpp) .*")) {
            return "JavaCPP's CUDA bindings for this platform are not on the class path (" + message + ")";
        }
        return "the CUDA kernels do not load (" + message
                + "); is the jar licorne-cuda with the classifier linux-x86_64 on the class path?";
    }
}
