#include "levels.hpp"

#include <cstdlib>

#if defined(__x86_64__)
namespace {
// PENSTOCK_VECTOR_LEVEL lowers what is taken for there, to find out whether a fault is of one level.
bool is_allowed(int level) {
  const char* most = std::getenv("PENSTOCK_VECTOR_LEVEL");
  return most == nullptr || level <= std::atoi(most);
}
bool has_avx2() {
  static const bool has = is_allowed(2) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}
bool has_avx512() {  // as since Cascade Lake and Zen 4
  static const bool has = is_allowed(3) && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512vnni");
  return has;
}
}  // namespace
#define PENSTOCK_BEST(call) (has_avx512() ? avx512::call : has_avx2() ? avx2::call : baseline::call)
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

const LinearKernels& linear() { return PENSTOCK_BEST(linear()); }

}  // namespace penstock

// Drawing at a level of vector instructions, numbered from 1, or what is fastest on this processor (0); null where
// there is no such level.
extern "C" __attribute__((visibility("default"))) const penstock::DrawingKernels* penstock_drawing(int level) {
  using namespace penstock;
  switch (level) {
    case 0:
      return &PENSTOCK_BEST(drawing());
    case 1:
      return &baseline::drawing();
#if defined(__x86_64__)
    case 2:
      return has_avx2() ? &avx2::drawing() : nullptr;
    case 3:
      return has_avx512() ? &avx512::drawing() : nullptr;
#endif
    default:
      return nullptr;
  }
}
