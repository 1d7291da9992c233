// The levels of vector instructions that arithmetic is compiled for. What each gives is declared here, and levels.cpp
// chooses among them when the library is loaded.
#pragma once
#include "attention.hpp"
#include "drawing.hpp"
#include "linear.hpp"

#define PENSTOCK_DECLARE(level)                \
  namespace penstock::level {                  \
  template <typename Stored>                   \
  const AttentionKernels<Stored>& attention(); \
  const DrawingKernels& drawing();             \
  const LinearKernels& linear();               \
  }
PENSTOCK_DECLARE(baseline)
#if defined(__x86_64__)
PENSTOCK_DECLARE(avx2)
PENSTOCK_DECLARE(avx512)
#endif
#undef PENSTOCK_DECLARE
