# CUDA kernels, where nvcc is found; a message with the reason where not. -DLICORNE_CUDA=OFF does not look for it.
# Each kernel's registers, shared memory and spills are in a file beside its object, *.ptxas; a test of java/cuda reads them.
# The tests compile the same sources as C++ over an emulator, everywhere (test/CMakeLists.txt).
option(LICORNE_CUDA "Build the CUDA kernels where nvcc is found" ON)

# licorne_cuda_library(unit...): the shared library licorne_cuda. Machine code for Ampere and what is compatible with it, and
# for Hopper with the instructions that only it has; intermediate code for what comes after.
macro(licorne_cuda_library)
  set(licorne_cuda_reason "")
  if(LICORNE_CUDA)
    include(CheckLanguage)
    set(CMAKE_CUDA_ARCHITECTURES OFF)
    check_language(CUDA)
    if(NOT CMAKE_CUDA_COMPILER)
      set(licorne_cuda_reason "no nvcc was found; set CUDACXX to name one")
    endif()
  else()
    set(licorne_cuda_reason "LICORNE_CUDA is OFF")
  endif()
  if(licorne_cuda_reason)
    message(STATUS "The CUDA kernels are not built: ${licorne_cuda_reason}")
    file(WRITE ${CMAKE_BINARY_DIR}/cuda.txt "${licorne_cuda_reason}\n") # for builds that go on from here
  else()
    file(WRITE ${CMAKE_BINARY_DIR}/cuda.txt "built\n")
    enable_language(CUDA)
    file(WRITE ${CMAKE_BINARY_DIR}/nvcc.txt "${CMAKE_CUDA_COMPILER_VERSION}\n")
    add_library(licorne_cuda SHARED ${ARGN})
    target_include_directories(licorne_cuda PUBLIC include PRIVATE src)
    set_target_properties(licorne_cuda PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_ARCHITECTURES OFF
                          CUDA_RUNTIME_LIBRARY Shared BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN")
    # The flags that are not nvcc's own are those of the C++ side, which the directory sets for every language.
    set_property(TARGET licorne_cuda PROPERTY COMPILE_OPTIONS
      $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow>
      $<$<COMPILE_LANGUAGE:CUDA>:-gencode=arch=compute_80,code=sm_80;-gencode=arch=compute_90a,code=sm_90a;-gencode=arch=compute_90,code=compute_90;-Xcompiler=-Wall;-Xptxas=-v>)
    set_property(TARGET licorne_cuda PROPERTY RULE_LAUNCH_COMPILE
      "\"${CMAKE_CURRENT_SOURCE_DIR}/../cmake/assembler_report\" <OBJECT>.ptxas")
    if(CMAKE_SYSTEM_NAME STREQUAL Linux)
      target_link_options(licorne_cuda PRIVATE -Wl,--no-undefined -Wl,-Bsymbolic
        -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/src/licorne.map ${licorne_portable})
    endif()
  endif()
endmacro()
