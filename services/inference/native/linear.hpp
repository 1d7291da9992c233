// Products of rows with a matrix whose weights are 8- or 4-bit codes in blocks of 32, as in GGUF's Q8_0, Q4_0 and Q4_1.
#pragma once
#include <cstddef>
#include <cstdint>

#include "half.hpp"

namespace penstock {

constexpr int kBlockInputs = 32;    // share a scale
constexpr int kPanelOutputs = 16;   // lie side by side: four inputs of each fill one vector
constexpr int kPanelsTogether = 3;  // panels that `multiply` is best given: it reads rows once for them

// weight = scale * (code - zero), where zero is 128 or, of 4 bits, 8; with offsets: weight = scale * code + offset.
struct Matrix {
  int inputs;   // a multiple of kBlockInputs
  int outputs;  // the last panel is filled up
  int bits;
  // [panels, inputs / 4, 16 outputs, 4 inputs]; of 4 bits [panels, inputs / 8, 16, 4]: the lower halves of bytes are
  // four inputs, the upper halves the next four.
  const uint8_t* codes;
  const Half* scales;   // [panels, blocks, 16]
  const Half* offsets;  // likewise, or null

  int blocks() const { return inputs / kBlockInputs; }
  int panels() const { return (outputs + kPanelOutputs - 1) / kPanelOutputs; }
  size_t panel_bytes() const { return size_t{kPanelOutputs} * inputs * bits / 8; }
};

// What a matrix multiplies, before it is rounded. One of the three.
struct Source {
  const float* values;  // [rows, inputs]; gated: [rows, 2 * inputs], of which silu(first half) * second half is meant
  bool gated;
  const float* norm;  // [inputs]: rows are divided by their root mean square and multiplied with it; null: they are not
  float epsilon;
};

// Rows in 8 bits, a scale for each block: each is rounded by itself, whatever else is multiplied with it.
struct RoundedRows {
  int rows;
  int8_t* codes;  // [rows, inputs]
  float* scales;  // [rows, blocks]
  int32_t* sums;  // [rows, blocks]: of codes
};

struct LinearKernels {
  // Round row `row` of a source.
  void (*round)(const Source& source, int inputs, int row, const RoundedRows& rounded);
  // Write the columns of panels [first, last) of outputs [rows, matrix.outputs]. `residual`, of the same shape, is
  // added if it is not null.
  void (*multiply)(const Matrix& matrix, const RoundedRows& rows, const float* residual, float* outputs, int first,
                   int last);
};

// Give what is fastest on this processor.
const LinearKernels& linear();

// Write row `row` of a matrix.
void look_up(const Matrix& matrix, int row, float* to);

}  // namespace penstock
