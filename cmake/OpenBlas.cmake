# OpenBLAS: from OPENBLAS_ROOT (what the Maven build unpacks from the JavaCPP preset: include/ and the library beside it),
# or from the system.
set(OPENBLAS_ROOT "" CACHE PATH "Folder with include/cblas.h and libopenblas")
find_path(OPENBLAS_INCLUDE_DIR cblas.h PATHS ${OPENBLAS_ROOT}/include NO_DEFAULT_PATH)
find_path(OPENBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas)
find_file(OPENBLAS_LIBRARY NAMES libopenblas.so.0 libopenblas.0.dylib libopenblas.dylib libopenblas.so
          PATHS ${OPENBLAS_ROOT} NO_DEFAULT_PATH)
find_library(OPENBLAS_LIBRARY NAMES openblas)
if(NOT OPENBLAS_INCLUDE_DIR OR NOT OPENBLAS_LIBRARY)
  message(FATAL_ERROR "OpenBLAS was not found: set OPENBLAS_ROOT or install libopenblas-dev")
endif()
