// Vectors of single floats, as wide for every level of vector instructions. For files that are compiled once for each
// level (-DLEVEL): what is inline here must not be shared between them.
#pragma once
#include <cstdint>
#include <type_traits>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "half.hpp"

namespace penstock::LEVEL {
namespace {

constexpr int kLanes = 16;
typedef float Floats __attribute__((vector_size(4 * kLanes), aligned(4)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes), aligned(4)));

inline Floats load(const float* from) { return *reinterpret_cast<const Floats*>(from); }
inline void store(float* to, Floats values) { *reinterpret_cast<Floats*>(to) = values; }
inline Floats all(float value) { return Floats{} + value; }

#if defined(__AVX512F__)
inline Floats load(const Half* from) {
  return (Floats)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
#elif defined(__F16C__)
inline Floats load(const Half* from) {
  union {
    __m256 halves[2];
    Floats whole;
  } both;
  both.halves[0] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  both.halves[1] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + 1));
  return both.whole;
}
#else
inline Floats load(const Half* from) {
  typedef _Float16 Halves __attribute__((vector_size(2 * kLanes), aligned(2)));
  return __builtin_convertvector(*reinterpret_cast<const Halves*>(from), Floats);
}
#endif

inline void put(float* to, float value) { *to = value; }
inline void put(Half* to, float value) {
  const _Float16 half = static_cast<_Float16>(value);
  __builtin_memcpy(to, &half, sizeof half);
}

inline Floats larger(Floats left, Floats right) { return left > right ? left : right; }

template <typename Vector, typename Fold>
auto fold(Vector values, Fold together) {
  auto result = values[0];
  for (int lane = 1; lane < kLanes; ++lane) result = together(result, values[lane]);
  return result;
}

// e^x for x <= 0, to 2e-7 of its value (Cephes' expf); 0 below where single precision ends.
inline Floats exponential(Floats x) {
  const Floats shifted = x * 1.44269504088896341f + 12582912.f;  // 1.5 * 2^23: its last bits are the rounded integer
  const Floats whole = shifted - 12582912.f;
  const Floats rest = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Floats sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1.f;
  const Ints power = ((Ints)shifted - 0x4b400000 + 127) << 23;
  return x < -87.f ? all(0.f) : sum * (Floats)power;
}

// Call `part` with a count, as a constant, and where to begin, until all are done; at most Most at once.
template <int Most, typename Part>
void in_parts(int count, Part part, int done = 0) {
  for (; count - done >= Most; done += Most) part(std::integral_constant<int, Most>{}, done);
  if constexpr (Most > 1) {
    if (count > done) in_parts<Most - 1>(count, part, done);
  }
}

}  // namespace
}  // namespace penstock::LEVEL
