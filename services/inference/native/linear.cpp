// The arithmetic of products. Codes are multiplied in whole numbers, exactly, and a block's sum is scaled in single
// precision, block after block: an output has the same bits for any number of rows and however they are shared out.
#include "linear.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "dots.hpp"
#include "levels.hpp"
#include "vectors.hpp"

#define PENSTOCK_UNROLL _Pragma("GCC unroll 16")

namespace penstock::LEVEL {
namespace {

// So many rows times panels have their sums in registers at once.
#if defined(__AVX512F__)
constexpr int kRowsAtOnce = 4, kPanelsAtOnce = kPanelsTogether;
#else
constexpr int kRowsAtOnce = 4, kPanelsAtOnce = 1;
#endif
constexpr int kCacheLine = 64;

template <int Bits>
constexpr int kZero = Bits == 8 ? 128 : 8;
template <int Bits>
constexpr int kBlockBytes = kPanelOutputs * kBlockInputs * Bits / 8;

// Four codes of one row, to be multiplied with the same four inputs of all outputs.
inline int32_t four(const int8_t* from) {
  int32_t codes;
  __builtin_memcpy(&codes, from, sizeof codes);
  return codes;
}

// Multiply Rows rows with a block of Panels panels.
template <int Rows, int Panels, int Bits>
inline void multiply_block(const uint8_t* codes, size_t panel_bytes, const int8_t* inputs, size_t row_codes,
                           Ints (&sums)[Rows][Panels]) {
  constexpr int kVectors = kBlockBytes<Bits> / kCacheLine;
  PENSTOCK_UNROLL
  for (int at = 0; at < kVectors; ++at) {
    Ints loaded[Panels];
    PENSTOCK_UNROLL
    for (int panel = 0; panel < Panels; ++panel) loaded[panel] = load(codes + panel * panel_bytes + at * kCacheLine);
    PENSTOCK_UNROLL
    for (int part = 0; part < 8 / Bits; ++part) {
      Ints weights[Panels];
      PENSTOCK_UNROLL
      for (int panel = 0; panel < Panels; ++panel)
        weights[panel] = Bits == 8 ? loaded[panel] : loaded[panel] >> 4 * part & 0x0f0f0f0f;
      PENSTOCK_UNROLL
      for (int row = 0; row < Rows; ++row) {
        const int32_t four_inputs = four(inputs + row * row_codes + 4 * (at * 8 / Bits + part));
        PENSTOCK_UNROLL
        for (int panel = 0; panel < Panels; ++panel)
          sums[row][panel] = dot<Bits>(sums[row][panel], weights[panel], four_inputs);
      }
    }
  }
}

// What a call of `multiply` works on.
struct Product {
  const Matrix& matrix;
  const RoundedRows& rows;
  const float* residual;
  float* outputs;

  void write(int row, int panel, Floats sums) const {
    const int64_t place = int64_t{row} * matrix.outputs + panel * kPanelOutputs;
    const int count = std::min(kPanelOutputs, matrix.outputs - panel * kPanelOutputs);
    if (count == kPanelOutputs) {
      store(outputs + place, residual == nullptr ? sums : load(residual + place) + sums);
    } else {
      float each[kLanes];
      store(each, sums);
      for (int i = 0; i < count; ++i)
        outputs[place + i] = residual == nullptr ? each[i] : residual[place + i] + each[i];
    }
  }
};

// Compute Rows rows of the columns of Panels panels. Of what is fetched ahead, this is part `part` of `parts`.
template <int Rows, int Panels, int Bits>
void multiply_tile(const Product& product, int row, int panel, int part, int parts) {
  const Matrix& matrix = product.matrix;
  const RoundedRows& rows = product.rows;
  const int blocks = matrix.blocks();
  const size_t panel_bytes = matrix.panel_bytes();
  const uint8_t* codes = matrix.codes + panel * panel_bytes;
  const int8_t* inputs = rows.codes + int64_t{row} * matrix.inputs;
  const int64_t at = int64_t{row} * blocks;
  const int zero = matrix.offsets == nullptr ? kZero<Bits> : 0;
  constexpr int kLines = Panels * kBlockBytes<Bits> / kCacheLine;
  const int first_line = kLines * part / parts, last_line = kLines * (part + 1) / parts;

  Floats totals[Rows][Panels] = {};
  for (int block = 0; block < blocks; ++block) {
    const uint8_t* ahead = codes + Panels * panel_bytes + block * kLines * kCacheLine;
    for (int line = first_line; line < last_line; ++line) __builtin_prefetch(ahead + line * kCacheLine);
    Ints sums[Rows][Panels];
    PENSTOCK_UNROLL
    for (int i = 0; i < Rows; ++i) {
      PENSTOCK_UNROLL
      for (int j = 0; j < Panels; ++j) sums[i][j] = begin<Bits>(zero * rows.sums[at + i * blocks + block]);
    }
    multiply_block<Rows, Panels, Bits>(codes + block * kBlockBytes<Bits>, panel_bytes, inputs + block * kBlockInputs,
                                       matrix.inputs, sums);
    PENSTOCK_UNROLL
    for (int j = 0; j < Panels; ++j) {
      const int64_t place = (int64_t{panel + j} * blocks + block) * kPanelOutputs;
      const Floats scales = load(matrix.scales + place);
      const Floats offsets = matrix.offsets == nullptr ? Floats{} : load(matrix.offsets + place);
      PENSTOCK_UNROLL
      for (int i = 0; i < Rows; ++i) {
        const float scale = rows.scales[at + i * blocks + block];
        totals[i][j] += to_floats(sums[i][j]) * (scales * scale);
        if (matrix.offsets != nullptr)
          totals[i][j] += offsets * (scale * static_cast<float>(rows.sums[at + i * blocks + block]));
      }
    }
  }
  PENSTOCK_UNROLL
  for (int i = 0; i < Rows; ++i) {
    PENSTOCK_UNROLL
    for (int j = 0; j < Panels; ++j) product.write(row + i, panel + j, totals[i][j]);
  }
}

template <int Bits>
void multiply_panels(const Product& product, int first, int last) {
  const int rows = product.rows.rows, tiles = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
  const auto columns = [&](auto panels, int panel) {
    in_parts<kRowsAtOnce>(rows, [&](auto size, int row) {
      multiply_tile<size, panels, Bits>(product, row, first + panel, row / kRowsAtOnce, tiles);
    });
  };
  if (rows == 1)  // all that matters is to read in order
    in_parts<1>(last - first, columns);
  else
    in_parts<kPanelsAtOnce>(last - first, columns);
}

void multiply(const Matrix& matrix, const RoundedRows& rows, const float* residual, float* outputs, int first,
              int last) {
  const Product product{matrix, rows, residual, outputs};
  if (matrix.bits == 8)  // has no offsets
    multiply_panels<8>(product, first, last);
  else
    multiply_panels<4>(product, first, last);
}

// x / (1 + e^-x), without a power that overflows.
inline Floats silu(Floats x) {
  const Ints negative = x < 0.f;
  const Floats small = exponential(where(negative, x, Floats{} - x));
  return x * (where(negative, small, all(1.f)) / (small + 1.f));
}

// Give a source's row as it is to be rounded, in `buffer` if it is not there already.
const float* prepare(const Source& source, int inputs, int row, std::vector<float>& buffer) {
  const float* values = source.values + int64_t{row} * inputs * (source.gated ? 2 : 1);
  if (!source.gated && source.norm == nullptr) return values;
  buffer.resize(inputs);
  if (source.gated) {
    for (int at = 0; at < inputs; at += kLanes)
      store(buffer.data() + at, silu(load(values + at)) * load(values + inputs + at));
    return buffer.data();
  }
  Floats squares = {};
  for (int at = 0; at < inputs; at += kLanes) squares += load(values + at) * load(values + at);
  const float sum = fold(squares, [](float left, float right) { return left + right; });
  const float factor = 1.f / std::sqrt(sum / static_cast<float>(inputs) + source.epsilon);
  for (int at = 0; at < inputs; at += kLanes)
    store(buffer.data() + at, load(values + at) * factor * load(source.norm + at));
  return buffer.data();
}

// Round to the nearest whole number, of two the even one.
inline Ints nearest(Floats values) {
  const Floats shifted = values + 12582912.f;  // 1.5 * 2^23: its last bits are the rounded integer
  return as_ints(shifted) - 0x4b400000;
}

// Give the largest magnitude. As whole numbers the bits of magnitudes are in the same order, and those of what is no
// number come last: it is never lost.
inline float magnitude(Floats first, Floats second) {
  const int32_t bits = largest(larger(as_ints(first) & 0x7fffffff, as_ints(second) & 0x7fffffff));
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

void round(const Source& source, int inputs, int row, const RoundedRows& rounded) {
  thread_local std::vector<float> buffer;
  const float* values = prepare(source, inputs, row, buffer);
  const int blocks = inputs / kBlockInputs;
  for (int block = 0; block < blocks; ++block) {
    const Floats first = load(values + block * kBlockInputs), second = load(values + block * kBlockInputs + kLanes);
    const float most = magnitude(first, second), factor = most == 0.f ? 0.f : 127.f / most;
    const Ints low = nearest(first * factor), high = nearest(second * factor);
    int8_t* codes = rounded.codes + int64_t{row} * inputs + block * kBlockInputs;
    put(codes, low);
    put(codes + kLanes, high);
    const int64_t at = int64_t{row} * blocks + block;
    rounded.scales[at] = most / 127.f;
    rounded.sums[at] = total(low + high);
  }
}

}  // namespace

const LinearKernels& linear() {
  static const LinearKernels all{round, multiply};
  return all;
}

}  // namespace penstock::LEVEL
