# Builds the CUDA kernels and their JavaCPP binding for the Maven module beside this file; run by its pom with cmake -P.
#
#   SOURCE     the native CMake project         BUILD      where it is built
#   CLASSES    compiled classes                 TESTS      compiled test classes
#   JAVA       the java to run JavaCPP with     JAVACPP    its jar, and more of the class path after a colon
#   PLATFORM   JavaCPP's name of the platform   SKIP_TESTS true: what only tests need is not built
#   REQUIRE    cuda: tests run on a real GPU
#
# With nvcc the kernels go to CLASSES, from where they are packed. For tests the same sources are compiled over an emulator;
# that library has the same name and goes to TESTS, which comes first on the class path of tests.
set(folder org/licorne/cuda/${PLATFORM})
set(bound ${BUILD}/binding)

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${what} failed")
  endif()
endfunction()

run("configuring the CUDA kernels"
    ${CMAKE_COMMAND} -S ${SOURCE} -B ${BUILD} -G Ninja -DLICORNE_CPU=OFF --log-level=WARNING)
file(STRINGS ${BUILD}/cuda.txt kernels)
if(NOT kernels STREQUAL "built")
  message(NOTICE "The jar gets no CUDA kernels: ${kernels}")
endif()

set(targets "")
if(kernels STREQUAL "built")
  list(APPEND targets licorne_cuda)
  set(library ${BUILD}/liblicorne_cuda.so)
  set(link_path ${BUILD})
endif()
if(NOT SKIP_TESTS AND NOT REQUIRE STREQUAL "cuda")
  list(APPEND targets licorne_cuda_emulated host_cuda)
  set(link_path ${BUILD}/emulated)
endif()
if(NOT targets)
  return()
endif()
run("building the CUDA kernels" ${CMAKE_COMMAND} --build ${BUILD} --target ${targets})

# Without a path to this folder in it (prefix2): the library is found beside the binding. A declaration of the binding class that disagrees with the headers does not compile.
set(binding ${bound}/libjniCudaLibrary.so)
file(GLOB headers ${SOURCE}/include/licorne/*.h)
set(stale FALSE)
foreach(input ${CLASSES}/org/licorne/cuda/CudaLibrary.class ${headers})
  if(${input} IS_NEWER_THAN ${binding})
    set(stale TRUE)
  endif()
endforeach()
if(stale)
  file(REMOVE_RECURSE ${bound})
  run("compiling the binding of the CUDA kernels"
      ${JAVA} -cp ${CLASSES}:${JAVACPP} org.bytedeco.javacpp.tools.Builder -classpath ${CLASSES}:${JAVACPP}
      -properties ${PLATFORM} -Dplatform.includepath=${SOURCE}/include -Dplatform.linkpath=${link_path}
      -Dplatform.linkpath.prefix2=-L -d ${bound}
      org.licorne.cuda.CudaLibrary)
endif()

file(GLOB bindings ${bound}/libjni*)
if(kernels STREQUAL "built")
  file(COPY ${library} ${bindings} DESTINATION ${CLASSES}/${folder})
endif()
if(NOT SKIP_TESTS AND NOT REQUIRE STREQUAL "cuda")
  file(GLOB emulated ${BUILD}/emulated/liblicorne_cuda.*)
  file(COPY ${emulated} ${bindings} DESTINATION ${TESTS}/${folder})
else()
  file(REMOVE_RECURSE ${TESTS}/${folder})
endif()
