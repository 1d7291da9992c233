// The levels of vector instructions that kernels.cpp is compiled for.
#pragma once
#include "attention.hpp"

#define PENSTOCK_DECLARE(level)     \
  namespace penstock::level {       \
  template <typename Stored>        \
  const Kernels<Stored>& kernels(); \
  }
PENSTOCK_DECLARE(baseline)
#if defined(__x86_64__)
PENSTOCK_DECLARE(avx2)
PENSTOCK_DECLARE(avx512)
#endif
#undef PENSTOCK_DECLARE
