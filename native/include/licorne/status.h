/* What every exported function returns, and how a caller learns more. */
#ifndef LICORNE_STATUS_H
#define LICORNE_STATUS_H

#include <stdint.h>

#if defined(__GNUC__)
#define LICORNE_EXPORT __attribute__((visibility("default")))
#else
#define LICORNE_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define LICORNE_VERSION "0.1.0"

typedef enum licorne_status {
  LICORNE_OK = 0,
  LICORNE_INVALID_ARGUMENT = 1,
  LICORNE_UNSUPPORTED = 2,
  LICORNE_OUT_OF_MEMORY = 3,
  LICORNE_DEVICE_ERROR = 4,
  LICORNE_NOT_A_NUMBER = 5 /* data are NaN or infinite where that has no meaning */
} licorne_status;

/* What products are computed in; sums are always float. */
typedef enum licorne_precision { LICORNE_F32 = 0, LICORNE_BF16 = 1 } licorne_precision;

/* Version of this library; the caller compares it with its own. */
LICORNE_EXPORT const char* licorne_version(void);

/* Message of this thread's last call that did not return LICORNE_OK; valid until the thread's next call. */
LICORNE_EXPORT const char* licorne_error_message(void);

#ifdef __cplusplus
}
#endif
#endif
