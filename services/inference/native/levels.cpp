#include "levels.hpp"

namespace penstock {

template <typename Stored>
const Kernels<Stored>& kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return avx512::kernels<Stored>();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kernels<Stored>();
#endif
  return baseline::kernels<Stored>();
}
template const Kernels<float>& kernels<float>();
template const Kernels<Half>& kernels<Half>();

}  // namespace penstock
