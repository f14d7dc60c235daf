package org.licorne.cuda;

/**
 * What is installed on this machine, asked without opening a device. Each method may throw a {@link LinkageError} whose
 * root cause names the library that is missing.
 */
interface CudaInstallation {
    /** Whether there is an NVIDIA GPU in the machine, as far as can be seen without a driver. Loads nothing. */
    boolean hasGpu();

    /** The CUDA version that the driver supports, e.g. 13000 for 13.0; 0 without a driver. */
    int driverVersion();

    /** Number of devices; negative is CUDA's error with its sign changed. */
    int devices();

    /** CUDA's name of an error, e.g. {@code cudaErrorUnknown}. */
    String errorName(int error);

    /** Ten times the major number plus the minor one. */
    int computeCapability(int device);

    String name(int device);

    long totalBytes(int device);

    /** Loads what multiplies matrices. */
    void loadProducts();

    /** Loads our kernels. @return their version */
    String loadKernels();
}
