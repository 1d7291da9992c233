// How many numbers of 32 bits a register holds. For files that are compiled once for each level (-DLEVEL).
#pragma once

namespace penstock::LEVEL {
namespace {

#if defined(__AVX512F__)
constexpr int kRegisterLanes = 16;
#elif defined(__AVX2__)
constexpr int kRegisterLanes = 8;
#else
constexpr int kRegisterLanes = 4;
#endif

}  // namespace
}  // namespace penstock::LEVEL
