package org.licorne.cuda;

import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;

/**
 * Versions of what is loaded, for reports: several CUDAs may be installed.
 *
 * @param driver the newest CUDA that the driver supports, e.g. {@code 13.0}
 * @param runtime of libcudart
 * @param cublasLt of libcublasLt, e.g. {@code 13.1.0}
 */
public record CudaVersions(String driver, String runtime, String cublasLt) {
    /** Only where the backend is available: touching libraries that are missing is an {@link Error}. */
    public static CudaVersions loaded() {
        int[] driver = new int[1];
        int[] runtime = new int[1];
        PresetRuntime.check(cudart.cudaDriverGetVersion(driver), "cudaDriverGetVersion");
        PresetRuntime.check(cudart.cudaRuntimeGetVersion(runtime), "cudaRuntimeGetVersion");
        long cublasLt = cublas.cublasLtGetVersion();
        return new CudaVersions(
                CudaProbe.version(driver[0]),
                CudaProbe.version(runtime[0]),
                cublasLt / 10_000 + "." + cublasLt / 100 % 100 + "." + cublasLt % 100);
    }
}
