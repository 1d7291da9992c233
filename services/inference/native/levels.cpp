#include "levels.hpp"

#if defined(__x86_64__)
#define PENSTOCK_BEST(call)                                                               \
  (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? avx512::call \
   : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")       ? avx2::call   \
                                                                           : baseline::call)
#else
#define PENSTOCK_BEST(call) baseline::call
#endif

namespace penstock {

template <typename Stored>
const AttentionKernels<Stored>& attention() {
  return PENSTOCK_BEST(attention<Stored>());
}
template const AttentionKernels<float>& attention<float>();
template const AttentionKernels<Half>& attention<Half>();

}  // namespace penstock
