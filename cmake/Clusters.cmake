# Instruction set clusters: the same sources compiled once per set, each as an object library. Features are named one by
# one (gcc 12 knows no -march=znver4), and nothing is ever compiled for the machine that happens to build.
# gcc 12 warns about uninitialised values inside its own intrinsics; those two warnings are off here.

string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" processor)
if(processor MATCHES "x86_64|amd64")
  set(LICORNE_ARCHITECTURE LICORNE_X86)
  set(clusters scalar avx2 avx512 avx512_bf16)
elseif(processor MATCHES "aarch64|arm64")
  set(LICORNE_ARCHITECTURE LICORNE_ARM64)
  set(clusters scalar neon)
else()
  set(LICORNE_ARCHITECTURE LICORNE_PORTABLE)
  set(clusters scalar)
endif()

set(flags_scalar "")
set(flags_neon "")
set(flags_avx2 -mavx2 -mfma -mf16c)
set(flags_avx512 ${flags_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
set(flags_avx512_bf16 ${flags_avx512} -mavx512bf16 -mavx512vnni)

# licorne_clusters(OBJECTS unit...): sets OBJECTS to the objects of all units for all clusters of this processor.
function(licorne_clusters objects)
  foreach(cluster ${clusters})
    add_library(licorne_${cluster} OBJECT ${ARGN})
    target_include_directories(licorne_${cluster} PRIVATE include src)
    target_compile_definitions(licorne_${cluster} PRIVATE ${LICORNE_ARCHITECTURE} LICORNE_ISA=${cluster})
    target_compile_options(licorne_${cluster} PRIVATE ${flags_${cluster}} -include ${CMAKE_CURRENT_SOURCE_DIR}/src/cpu/isa.h
                           -Wno-unused-function -Wno-unused-variable -Wno-uninitialized
                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    list(APPEND all $<TARGET_OBJECTS:licorne_${cluster}>)
  endforeach()
  set(${objects} ${all} PARENT_SCOPE)
endfunction()
