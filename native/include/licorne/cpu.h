/* The CPU device: instruction set, threads, memory, and what the machine can do at most. */
#ifndef LICORNE_CPU_H
#define LICORNE_CPU_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Clusters of kernels, in increasing order of preference. */
typedef enum licorne_cpu_isa {
  LICORNE_CPU_SCALAR = 0,
  LICORNE_CPU_NEON = 1,
  LICORNE_CPU_AVX2 = 2,
  LICORNE_CPU_AVX512 = 3,
  LICORNE_CPU_AVX512_BF16 = 4,
  LICORNE_CPU_ISA_COUNT = 5
} licorne_cpu_isa;

/* 1 if this processor and this build can run the cluster, else 0. */
LICORNE_EXPORT int32_t licorne_cpu_isa_supported(int32_t isa);

/* Chooses the cluster for the whole process; LICORNE_UNSUPPORTED if the machine lacks it. */
LICORNE_EXPORT int32_t licorne_cpu_set_isa(int32_t isa);
LICORNE_EXPORT int32_t licorne_cpu_get_isa(void);

/* Size of the one thread pool of the process, the calling thread included. Takes effect before the next op.
   LICORNE_DEVICE_ERROR if the system does not give that many; the pool is then as before. */
LICORNE_EXPORT int32_t licorne_cpu_set_threads(int32_t threads);
LICORNE_EXPORT int32_t licorne_cpu_get_threads(void);

/* Zero-filled memory on 64-byte boundaries, in large pages where the system has them; 0 if there is none. */
LICORNE_EXPORT int64_t licorne_cpu_allocate(int64_t bytes);
/* Finds all of such memory now, on all threads and in small pages, instead of large page by large page when it is first
   written to. What it holds stays as it is. Does nothing where the system cannot. */
LICORNE_EXPORT int32_t licorne_cpu_populate(int64_t address, int64_t bytes);
/* bytes as given to allocate. */
LICORNE_EXPORT void licorne_cpu_free(int64_t address, int64_t bytes);

/* Bytes that the process can still use without swapping, by the system's and its container's account. */
LICORNE_EXPORT int64_t licorne_cpu_available_bytes(void);

typedef enum licorne_cpu_probe_kind {
  LICORNE_CPU_PROBE_FMA_F32 = 0,  /* flop/s of fused multiply-add on float */
  LICORNE_CPU_PROBE_DOT_BF16 = 1, /* flop/s of bfloat16 dot products; 0 if the processor has none */
  LICORNE_CPU_PROBE_DOT_I8 = 2,   /* operations/s of 8-bit dot products; 0 if the processor has none */
  LICORNE_CPU_PROBE_READ = 3,     /* bytes/s read from memory */
  LICORNE_CPU_PROBE_COPY = 4      /* bytes/s copied, read and written both counted */
} licorne_cpu_probe_kind;

/* Measures a limit of the machine on all threads of the pool: the best of several runs within the given time. */
LICORNE_EXPORT double licorne_cpu_probe(int32_t kind, double seconds);

#ifdef __cplusplus
}
#endif
#endif
