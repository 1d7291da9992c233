#pragma once
#include <cstdint>

namespace penstock {

using Half = uint16_t;  // IEEE binary16, only stored: all arithmetic is in single precision

inline float to_float(Half half) {
  _Float16 value;
  __builtin_memcpy(&value, &half, sizeof value);
  return static_cast<float>(value);
}

}  // namespace penstock
