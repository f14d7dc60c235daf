package org.licorne.cuda;

import org.licorne.backend.Availability;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.DeviceException;

/** Offers the CUDA backend wherever there are an NVIDIA GPU, its driver and CUDA 13's libraries. */
public final class CudaBackendProvider implements BackendProvider {
    @Override
    public String name() {
        return "cuda";
    }

    /** Above the CPU's. */
    @Override
    public int rank() {
        return 20;
    }

    @Override
    public Availability probe() {
        return CudaProbe.probe(new PresetInstallation());
    }

    @Override
    public Backend open() {
        Availability availability = probe();
        if (!availability.available()) {
            throw new BackendUnavailableException("backend 'cuda' is not available: " + availability.reason());
        }
        PresetRuntime runtime = null;
        try {
            runtime = new PresetRuntime(CudaProbe.device());
            return new CudaBackend(runtime, new CublasLtProducts(runtime));
        } catch (DeviceException e) {
            closeQuietly(runtime);
            throw new BackendUnavailableException("backend 'cuda' is not available: " + e.getMessage(), e);
        } catch (RuntimeException | Error e) {
            closeQuietly(runtime);
            throw e;
        }
    }

    private static void closeQuietly(PresetRuntime runtime) {
        if (runtime != null) {
            runtime.close();
        }
    }
}
