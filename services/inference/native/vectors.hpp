// Vectors of 16 numbers, for every level of vector instructions. For files that are compiled once for each level
// (-DLEVEL): what is inline here must not be shared between them.
#pragma once
#include <cstdint>
#include <type_traits>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "half.hpp"
#include "width.hpp"

namespace penstock::LEVEL {
namespace {

constexpr int kLanes = 16;

// Two vectors as one, where registers are narrower. A compiler's own vector of several registers is twenty times as
// slow (GCC 12): it is kept in memory, and compared number by number.
template <typename Vector>
struct Pair {
  Vector low, high;
};

// Call `part` with the registers of vectors, one after the other, and put what it gives together again.
template <typename Part, typename Register, typename... Registers>
inline auto each(Part part, Register first, Registers... others) {
  return part(first, others...);
}
template <typename Part, typename Vector, typename... Vectors>
inline auto each(Part part, Pair<Vector> first, Vectors... others) {
  const auto low = each(part, first.low, others.low...), high = each(part, first.high, others.high...);
  return Pair<std::remove_const_t<decltype(low)>>{low, high};
}

#define PENSTOCK_OPERATOR(sign)                                                                          \
  template <typename Vector>                                                                             \
  inline auto operator sign(Pair<Vector> left, Pair<Vector> right) {                                     \
    return each([](auto one, auto other) { return one sign other; }, left, right);                       \
  }                                                                                                      \
  template <typename Vector, typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>> \
  inline auto operator sign(Pair<Vector> left, Number right) {                                           \
    return each([right](auto one) { return one sign right; }, left);                                     \
  }
PENSTOCK_OPERATOR(+)
PENSTOCK_OPERATOR(-)
PENSTOCK_OPERATOR(*)
PENSTOCK_OPERATOR(/)
PENSTOCK_OPERATOR(&)
PENSTOCK_OPERATOR(|)
PENSTOCK_OPERATOR(<<)
PENSTOCK_OPERATOR(>>)
PENSTOCK_OPERATOR(<)
PENSTOCK_OPERATOR(>)
PENSTOCK_OPERATOR(>=)
#undef PENSTOCK_OPERATOR

template <typename Vector>
inline Pair<Vector>& operator+=(Pair<Vector>& left, Pair<Vector> right) {
  return left = left + right;
}

typedef float FloatRegister __attribute__((vector_size(4 * kRegisterLanes)));
typedef int32_t IntRegister __attribute__((vector_size(4 * kRegisterLanes)));
#if defined(__AVX512F__)
using Floats = FloatRegister;
using Ints = IntRegister;
#elif defined(__AVX2__)
using Floats = Pair<FloatRegister>;
using Ints = Pair<IntRegister>;
#else
using Floats = Pair<Pair<FloatRegister>>;
using Ints = Pair<Pair<IntRegister>>;
#endif

// Copy registers one by one: whole pairs would take the way through memory.
template <typename Register>
inline void copy_in(const char* from, Register& to) {
  __builtin_memcpy(&to, from, sizeof to);
}
template <typename Vector>
inline void copy_in(const char* from, Pair<Vector>& to) {
  copy_in(from, to.low);
  copy_in(from + sizeof to.low, to.high);
}
template <typename Register>
inline void copy_out(char* to, Register from) {
  __builtin_memcpy(to, &from, sizeof from);
}
template <typename Vector>
inline void copy_out(char* to, Pair<Vector> from) {
  copy_out(to, from.low);
  copy_out(to + sizeof from.low, from.high);
}

inline Floats load(const float* from) {
  Floats values;
  copy_in(reinterpret_cast<const char*>(from), values);
  return values;
}
inline void store(float* to, Floats values) { copy_out(reinterpret_cast<char*>(to), values); }
inline Floats all(float value) { return Floats{} + value; }

#if defined(__AVX512F__)
inline Floats load(const Half* from) {
  return (Floats)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
#elif defined(__F16C__)
inline Floats load(const Half* from) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(from);
  return {(FloatRegister)_mm256_cvtph_ps(_mm_loadu_si128(halves)),
          (FloatRegister)_mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
#else
inline Floats load(const Half* from) {
  float values[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) values[lane] = to_float(from[lane]);
  return load(values);
}
#endif

inline void put(float* to, float value) { *to = value; }
inline void put(Half* to, float value) {
  const _Float16 half = static_cast<_Float16>(value);
  __builtin_memcpy(to, &half, sizeof half);
}

// The same bits as numbers of the other kind, and the nearest floats.
inline Ints as_ints(Floats values) {
  return each([](FloatRegister part) { return (IntRegister)part; }, values);
}
inline Floats as_floats(Ints values) {
  return each([](IntRegister part) { return (FloatRegister)part; }, values);
}
inline Floats to_floats(Ints values) {
  return each([](IntRegister part) { return __builtin_convertvector(part, FloatRegister); }, values);
}

// Choose lane by lane.
template <typename Vector>
inline Vector where(Ints condition, Vector left, Vector right) {
  return each([](IntRegister holds, auto one, auto other) { return holds ? one : other; }, condition, left, right);
}
template <typename Vector>
inline Vector larger(Vector left, Vector right) {
  return where(left > right, left, right);
}

// Put all lanes together, those of one register after the other.
template <typename Vector, typename Fold>
inline auto fold(Vector values, Fold together) {
  auto result = values[0];
  for (int lane = 1; lane < kRegisterLanes; ++lane) result = together(result, values[lane]);
  return result;
}
template <typename Vector, typename Fold>
inline auto fold(Pair<Vector> values, Fold together) {
  return together(fold(values.low, together), fold(values.high, together));
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
  const Ints power = (as_ints(shifted) - 0x4b400000 + 127) << 23;
  return where(x < -87.f, Floats{}, sum * as_floats(power));
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
