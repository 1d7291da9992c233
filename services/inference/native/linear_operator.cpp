// penstock::BlockLinear and penstock::BlockLookup, operators of ONNX Runtime on the CPU. A matrix is given as Matrix's
// `codes`, `scales` and, or not, `offsets`, which must be constants.
#include <algorithm>
#include <vector>

#include "linear.hpp"
#include "operators.hpp"
#include "runtime.hpp"

namespace penstock {
namespace {

constexpr int kRoundedTogether = 4;      // rows; so few are not worth another thread
constexpr int kBatchBytes = 128 * 1024;  // of codes, times every four rows: some microseconds

Matrix matrix_of(const OrtKernelInfo* info, size_t first_input) {
  Matrix matrix{};
  matrix.inputs = static_cast<int>(attribute(info, "K"));
  matrix.outputs = static_cast<int>(attribute(info, "N"));
  matrix.bits = static_cast<int>(attribute(info, "bits"));
  const Tensor codes = constant(info, first_input), scales = constant(info, first_input + 1);
  const Tensor offsets = constant(info, first_input + 2);
  matrix.codes = static_cast<const uint8_t*>(codes.data);
  matrix.scales = static_cast<const Half*>(scales.data);
  matrix.offsets = static_cast<const Half*>(offsets.data);
  const int64_t scales_size = int64_t{matrix.panels()} * matrix.blocks() * kPanelOutputs;
  require(matrix.inputs > 0 && matrix.inputs % kBlockInputs == 0 && matrix.outputs > 0 &&
              (matrix.bits == 8 || matrix.bits == 4) && (matrix.bits == 4 || matrix.offsets == nullptr),
          "K must be a multiple of 32, and bits 8 or 4; offsets are for 4 bits");
  require(codes.size() == static_cast<int64_t>(matrix.panel_bytes()) * matrix.panels() &&
              scales.size() == scales_size && (matrix.offsets == nullptr || offsets.size() == scales_size),
          "codes, scales or offsets are of another matrix");
  return matrix;
}

// Multiply rows with a matrix. Inputs: Source's values, the matrix, Source's norm or none, a residual or none.
class BlockLinear {
 public:
  enum Input : size_t { kValues, kCodes, kScales, kOffsets, kNorm, kResidual, kInputs };
  static constexpr const char* kName = "BlockLinear";

  static ONNXTensorElementDataType input_type(size_t index) { return matrix_type(index, kCodes); }
  static bool is_optional(size_t index) { return index >= kOffsets; }

  explicit BlockLinear(const OrtKernelInfo* info) : matrix_(matrix_of(info, kCodes)) {
    const Tensor norm = constant(info, kNorm);
    norm_ = static_cast<const float*>(norm.data);
    gated_ = attribute(info, "gated") != 0;
    check(ort->KernelInfoGetAttribute_float(info, "epsilon", &epsilon_));
    require(norm_ == nullptr || (norm.size() == matrix_.inputs && !gated_),
            "norm is of another matrix, or beside gated");
  }

  void compute(OrtKernelContext* context) const {
    const Tensor values = input(context, kValues), residual = input(context, kResidual);
    const int64_t width = int64_t{matrix_.inputs} * (gated_ ? 2 : 1);
    require(values.dims.back() == width, "values are not as wide as the matrix");
    const int rows = static_cast<int>(values.size() / width);
    std::vector<int64_t> dims = values.dims;
    dims.back() = matrix_.outputs;
    require(residual.data == nullptr || residual.dims == dims, "the residual is not shaped as the outputs");
    float* outputs = output(context, dims);

    const LinearKernels& kernels = linear();
    const RoundedRows rounded = scratch(rows);
    const Source source{static_cast<const float*>(values.data), gated_, norm_, epsilon_};
    const int rounds = (rows + kRoundedTogether - 1) / kRoundedTogether;
    parallel(context, rounds, rounds, [&](int part) {
      const int last = std::min(rows, (part + 1) * kRoundedTogether);
      for (int row = part * kRoundedTogether; row < last; ++row) kernels.round(source, matrix_.inputs, row, rounded);
    });
    const int panels = matrix_.panels(), groups = (panels + kPanelsTogether - 1) / kPanelsTogether;
    parallel(context, groups, batches(rows, groups), [&](int part) {
      kernels.multiply(matrix_, rounded, static_cast<const float*>(residual.data), outputs, part * kPanelsTogether,
                       std::min(panels, (part + 1) * kPanelsTogether));
    });
  }

 private:
  friend class BlockLookup;

  static ONNXTensorElementDataType matrix_type(size_t index, size_t first) {
    if (index == first) return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    return index == first + 1 || index == first + 2 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
                                                    : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }

  int batches(int rows, int groups) const {
    const double work = double(matrix_.panel_bytes()) * matrix_.panels() * std::max(1, rows / 4);
    return static_cast<int>(std::clamp(work / kBatchBytes, 1., double(groups)));
  }

  // Give memory that lasts until this thread multiplies again.
  RoundedRows scratch(int rows) const {
    thread_local std::vector<int8_t> codes;
    thread_local std::vector<float> scales;
    thread_local std::vector<int32_t> sums;
    const size_t blocks = size_t(rows) * matrix_.blocks();
    codes.resize(std::max(codes.size(), blocks * kBlockInputs));
    scales.resize(std::max(scales.size(), blocks));
    sums.resize(std::max(sums.size(), blocks));
    return {rows, codes.data(), scales.data(), sums.data()};
  }

  Matrix matrix_;
  const float* norm_;
  bool gated_;
  float epsilon_ = 0;
};

// Give the rows of a matrix that ids name. Inputs: ids, the matrix.
class BlockLookup {
 public:
  enum Input : size_t { kIds, kCodes, kScales, kOffsets, kInputs };
  static constexpr const char* kName = "BlockLookup";

  static ONNXTensorElementDataType input_type(size_t index) {
    return index == kIds ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 : BlockLinear::matrix_type(index, kCodes);
  }
  static bool is_optional(size_t index) { return index == kOffsets; }

  explicit BlockLookup(const OrtKernelInfo* info) : matrix_(matrix_of(info, kCodes)) {}

  void compute(OrtKernelContext* context) const {
    const Tensor ids = input(context, kIds);
    std::vector<int64_t> dims = ids.dims;
    dims.push_back(matrix_.inputs);
    float* outputs = output(context, dims);
    for (int64_t i = 0; i < ids.size(); ++i) {
      const int64_t id = static_cast<const int64_t*>(ids.data)[i];
      require(0 <= id && id < matrix_.outputs, "a token is not of the vocabulary");
      look_up(matrix_, static_cast<int>(id), outputs + i * matrix_.inputs);
    }
  }

 private:
  Matrix matrix_;
};

}  // namespace

void look_up(const Matrix& matrix, int row, float* to) {
  const int panel = row / kPanelOutputs, lane = row % kPanelOutputs;
  const uint8_t* codes = matrix.codes + panel * matrix.panel_bytes() + 4 * lane;
  const int zero = matrix.offsets != nullptr ? 0 : matrix.bits == 8 ? 128 : 8;
  for (int block = 0; block < matrix.blocks(); ++block) {
    const int64_t place = (int64_t{panel} * matrix.blocks() + block) * kPanelOutputs + lane;
    const float scale = to_float(matrix.scales[place]);
    const float offset = matrix.offsets == nullptr ? 0.f : to_float(matrix.offsets[place]);
    for (int vector = 0; vector < kBlockInputs * matrix.bits / 32; ++vector, codes += 4 * kPanelOutputs) {
      for (int shift = 0; shift < 8; shift += matrix.bits) {
        for (int i = 0; i < 4; ++i) {
          const int code = matrix.bits == 8 ? codes[i] : codes[i] >> shift & 15;
          *to++ = scale * static_cast<float>(code - zero) + offset;
        }
      }
    }
  }
}

std::vector<const OrtCustomOp*> linear_operators() { return {described<BlockLinear>(), described<BlockLookup>()}; }

}  // namespace penstock
