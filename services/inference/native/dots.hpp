// Whole numbers in vectors: dot products of codes, as each level of vector instructions has them.
#pragma once
#include <algorithm>

#include "vectors.hpp"

namespace penstock::LEVEL {
namespace {

inline Ints load(const uint8_t* from) {
  Ints codes;
  copy_in(reinterpret_cast<const char*>(from), codes);
  return codes;
}

// `begin` gives what sums begin with, and `dot` adds products of 64 codes, four of each lane, with the same four
// inputs: together they give sums of (code - zero) * input. Here `zeros` is the zero times the sum of the inputs.
#if defined(__AVX512VNNI__)
template <int Bits>
inline Ints begin(int32_t zeros) {
  return Ints{} - zeros;
}
template <int Bits>
inline Ints dot(Ints sums, Ints codes, int32_t inputs) {
  return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)codes, _mm512_set1_epi32(inputs));
}
#elif defined(__AVX2__)
template <int Bits>
inline Ints begin(int32_t zeros) {
  return Bits == 8 ? Ints{} : Ints{} - zeros;  // of 8 bits `dot` subtracts the zero itself
}
template <int Bits>
inline Ints dot(Ints sums, Ints codes, int32_t inputs) {
  const auto of_register = [inputs](IntRegister sum, IntRegister part) {
    __m256i weights = (__m256i)part, right = _mm256_set1_epi32(inputs);
    if (Bits == 8) {  // two products of a byte from 0 to 255 would not fit into 16 bits
      const __m256i centered = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
      weights = _mm256_abs_epi8(centered);
      right = _mm256_sign_epi8(right, centered);
    }
    const __m256i pairs = _mm256_maddubs_epi16(weights, right);
    return sum + (IntRegister)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  };
  return each(of_register, sums, codes);
}
#else
template <int Bits>
inline Ints begin(int32_t zeros) {
  return Ints{} - zeros;
}
template <int Bits>
inline Ints dot(Ints sums, Ints codes, int32_t inputs) {
  int8_t four[4];
  __builtin_memcpy(four, &inputs, sizeof four);
  for (int i = 0; i < 4; ++i) sums += (codes >> 8 * i & 255) * int32_t{four[i]};
  return sums;
}
#endif

#if defined(__AVX512F__)
inline int32_t largest(Ints values) { return _mm512_reduce_max_epi32((__m512i)values); }
inline int32_t total(Ints values) { return _mm512_reduce_add_epi32((__m512i)values); }
inline void put(int8_t* to, Ints values) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8((__m512i)values));
}
#else
inline int32_t largest(Ints values) {
  return fold(values, [](int32_t left, int32_t right) { return std::max(left, right); });
}
inline int32_t total(Ints values) {
  return fold(values, [](int32_t left, int32_t right) { return left + right; });
}
inline void put(int8_t* to, Ints values) {
  int32_t each[kLanes];
  __builtin_memcpy(each, &values, sizeof each);
  for (int lane = 0; lane < kLanes; ++lane) to[lane] = static_cast<int8_t>(each[lane]);
}
#endif

}  // namespace
}  // namespace penstock::LEVEL
