#pragma once
#include <cstdint>

namespace penstock {

using Half = uint16_t;  // IEEE binary16, only stored: all arithmetic is in single precision

}  // namespace penstock
