/* The CUDA device, as far as our kernels concern it; memory, streams and products of matrices are the caller's.

   Conventions of all licorne_cuda_ functions: they queue work on the stream (a cudaStream_t; null is the default one) and
   return before it is done. Pointers are to memory of the device. type is the licorne_precision of what is declared void*:
   activations, their gradients, and weights as kernels read them; what is declared float* is always float. Everything is
   deterministic. A pointer named fault is to LICORNE_CUDA_FAULT_WORDS words that are 16-byte aligned and zeroed by the
   caller; kernels that find an index out of range describe the first there, write 0 in its row, and read nothing out of
   bounds. It may be null: then nobody is told. */
#ifndef LICORNE_CUDA_H
#define LICORNE_CUDA_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LICORNE_CUDA_FAULT_WORDS 48

/* LICORNE_OK if the words, which the host can address, tell of no fault; else LICORNE_INVALID_ARGUMENT (or
   LICORNE_NOT_A_NUMBER), licorne_error_message names op, index and range, and what the words told is forgotten. Kernels may
   run meanwhile: a fault that one of them is just writing down is told by the next call. One call at a time. */
LICORNE_EXPORT int32_t licorne_cuda_check_fault(int32_t* fault);

/* Whether kernels may be started before those before them in the stream have ended, which they wait for themselves, on devices
   that can do so (Hopper and later). On unless turned off, for all threads; the results are the same. */
LICORNE_EXPORT void licorne_cuda_overlap_kernels(int32_t on);

/* What first made the context unusable, as far as calls of this library saw it; empty if nothing did. */
LICORNE_EXPORT const char* licorne_cuda_sticky_error(void);

#ifdef __cplusplus
}
#endif
#endif
