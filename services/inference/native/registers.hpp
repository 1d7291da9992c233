// Vectors as wide as a register, and blocks of floats that are put together in the same order for any width. For files
// that are compiled once for each level (-DLEVEL) and give the same bits at all of them.
#pragma once
#include <cstdint>

#include "width.hpp"

namespace penstock::LEVEL {
namespace {

constexpr int kLanes = kRegisterLanes;
constexpr int kBlock = 128;

// A vector that the compiler makes of several registers is slow where lanes are compared.
typedef float Floats __attribute__((vector_size(4 * kLanes), aligned(4)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes), aligned(4)));
typedef float Quarter __attribute__((vector_size(16)));

Floats load(const float* from) { return *reinterpret_cast<const Floats*>(from); }
void store(float* to, Floats values) { *reinterpret_cast<Floats*>(to) = values; }
Floats all(float value) { return Floats{} + value; }
Floats where(Ints condition, Floats values) { return (Floats)(condition & (Ints)values); }

// Tell whether a condition holds in any lane.
bool any(Ints condition) {
  int64_t pairs[kLanes / 2], found = 0;
  __builtin_memcpy(pairs, &condition, sizeof pairs);
  for (const int64_t pair : pairs) found |= pair;
  return found != 0;
}

constexpr auto kSum = [](auto left, auto right) { return left + right; };
constexpr auto kLarger = [](auto left, auto right) { return left > right ? left : right; };

// Put together what `part` gives for each vector of a block, by halves: a block's first half with its second, and so on
// down to one number. So the order is the same for any width of vectors.
template <typename Part, typename Fold>
__attribute__((always_inline)) inline float over_block(Part part, Fold together) {
  constexpr int kHalf = kBlock / kLanes / 2;
  Floats parts[kHalf];
  for (int i = 0; i < kHalf; ++i) parts[i] = together(part(i * kLanes), part((i + kHalf) * kLanes));
  for (int width = kHalf / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) parts[i] = together(parts[i], parts[i + width]);
  Quarter quarters[kLanes / 4];
  __builtin_memcpy(quarters, parts, sizeof quarters);
  for (int width = kLanes / 8; width; width /= 2)
    for (int i = 0; i < width; ++i) quarters[i] = together(quarters[i], quarters[i + width]);
  const Quarter last = quarters[0];
  return together(together(last[0], last[2]), together(last[1], last[3]));
}

// 2^x for x <= 0, to 2e-7 of its value; exactly 1 at 0, and 0 below where single precision ends. The polynomial is
// taken in halves, which do not wait for each other.
Floats power_of_two(Floats x) {
  constexpr float kShift = 12582912.f + 127.f;  // with it, a float's last bits are the rounded integer, biased
  const Floats in_range = x > -127.f ? x : all(-127.f);
  const Floats shifted = in_range + kShift;
  const Floats rest = in_range - (shifted - kShift), square = rest * rest;
  const Floats low = rest * 6.931470037e-1f + 1.f, middle = rest * 5.550733581e-2f + 2.402224243e-1f;
  const Floats high = rest * 1.326472731e-3f + 9.671512991e-3f;
  return ((high * square + middle) * square + low) * (Floats)((Ints)shifted << 23);
}

}  // namespace
}  // namespace penstock::LEVEL
