// Stands before CUDA's own header in the emulated build.
#pragma once
#include "cuda_emulation.h"
