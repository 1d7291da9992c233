// penstock::PagedAttention, an operator of ONNX Runtime on the CPU. Its inputs are Step's fields, in their order;
// `keys` and `values` have another dimension in front, the model's layers, and are written in place.
#include <algorithm>
#include <exception>
#include <functional>
#include <numeric>
#include <vector>

#include "attention.hpp"
#include "onnxruntime_c_api.h"

namespace {

using penstock::Half;
using penstock::Kernels;
using penstock::Shape;
using penstock::Step;

constexpr int kTileTokens =
    8;  // of one sequence that are attended from together: a block's keys are read once for them
constexpr int kStoredTogether = 8;  // tokens whose keys are written by one thread; so few are not worth another
const OrtApi* ort = nullptr;

enum Input : size_t { kQueryKeyValue, kKeys, kValues, kTables, kSlots, kPositions, kCos, kSin, kInputs };

// A status that is an error, thrown through our own frames only.
struct Failure {
  OrtStatus* status;
};

void check(OrtStatus* status) {
  if (status != nullptr) throw Failure{status};
}

void require(bool holds, const char* otherwise) {
  if (!holds) throw Failure{ort->CreateStatus(ORT_INVALID_ARGUMENT, otherwise)};
}

// What a callback of the runtime does: ours may throw, its may not.
template <typename Body>
OrtStatus* guarded(Body body) {
  try {
    body();
    return nullptr;
  } catch (const Failure& failure) {
    return failure.status;
  } catch (const std::exception& error) {
    return ort->CreateStatus(ORT_RUNTIME_EXCEPTION, error.what());
  }
}

struct Tensor {
  const void* data;
  std::vector<int64_t> dims;
};

Tensor input(const OrtKernelContext* context, size_t index) {
  const OrtValue* value = nullptr;
  check(ort->KernelContext_GetInput(context, index, &value));
  Tensor tensor{};
  check(ort->GetTensorMutableData(const_cast<OrtValue*>(value), const_cast<void**>(&tensor.data)));
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(ort->GetTensorTypeAndShape(value, &info));
  size_t rank = 0;
  OrtStatus* failed = ort->GetDimensionsCount(info, &rank);
  if (failed == nullptr) {
    tensor.dims.resize(rank);
    failed = ort->GetDimensions(info, tensor.dims.data(), rank);
  }
  ort->ReleaseTensorTypeAndShapeInfo(info);
  check(failed);
  return tensor;
}

// Consecutive tokens of one sequence.
struct Tile {
  int first, last;
};

template <typename Stored>
class Attention {
 public:
  explicit Attention(const OrtKernelInfo* info) {
    int64_t heads = 0, kv_heads = 0, window = 0;
    check(ort->KernelInfoGetAttribute_int64(info, "layer", &layer_));
    check(ort->KernelInfoGetAttribute_int64(info, "num_heads", &heads));
    check(ort->KernelInfoGetAttribute_int64(info, "kv_num_heads", &kv_heads));
    check(ort->KernelInfoGetAttribute_int64(info, "window", &window));
    check(ort->KernelInfoGetAttribute_float(info, "scale", &shape_.scale));
    require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, "num_heads must be a multiple of kv_num_heads");
    shape_.heads = static_cast<int>(heads);
    shape_.kv_heads = static_cast<int>(kv_heads);
    shape_.window = static_cast<int>(window);
  }

  void compute(OrtKernelContext* context) const {
    Step<Stored> step = read(context);
    const int tokens = step.tokens;
    const std::vector<Tile> tiles = tiles_of(step);
    const Kernels<Stored>& kernels = penstock::kernels<Stored>();
    parallel(context, (tokens + kStoredTogether - 1) / kStoredTogether, [&](int part) {
      kernels.store(step, part * kStoredTogether, std::min(tokens, (part + 1) * kStoredTogether));
    });
    parallel(context, static_cast<int>(tiles.size()) * shape_.kv_heads, [&](int part) {
      // The longest first: the last tiles of a prompt see the most.
      const Tile& tile = tiles[tiles.size() - 1 - part / shape_.kv_heads];
      kernels.attend(step, tile.first, tile.last, part % shape_.kv_heads);
    });
  }

 private:
  Step<Stored> read(OrtKernelContext* context) const {
    const Tensor rows = input(context, kQueryKeyValue), keys = input(context, kKeys), values = input(context, kValues);
    const Tensor tables = input(context, kTables), slots = input(context, kSlots);
    const Tensor positions = input(context, kPositions), cos = input(context, kCos), sin = input(context, kSin);
    const int64_t tokens = slots.dims.at(0);
    require(keys.dims.size() == 5 && values.dims.size() == 5 && tables.dims.size() == 2,
            "keys, values or tables have another rank");
    Step<Stored> step{};
    step.shape = shape_;
    step.shape.head_dim = static_cast<int>(keys.dims[3]);
    require(layer_ < keys.dims[0] && keys.dims[2] == shape_.kv_heads && keys.dims[4] == penstock::kBlockRows &&
                step.shape.head_dim % 16 == 0,
            "keys are not [layers, blocks, kv_num_heads, a multiple of 16, 16]");
    require(values.dims[1] == keys.dims[1] && values.dims[4] == keys.dims[3], "values are not as large as keys");
    const int64_t size = std::accumulate(rows.dims.begin(), rows.dims.end(), int64_t{1}, std::multiplies<>());
    require(rows.dims.back() == step.shape.row_width() && size == tokens * rows.dims.back() &&
                positions.dims.at(0) == tokens,
            "rows are of another model or step");
    const int64_t layer_size = keys.dims[1] * keys.dims[2] * keys.dims[3] * keys.dims[4];
    step.tokens = static_cast<int>(tokens);
    step.query_key_value = static_cast<const float*>(rows.data);
    step.keys = static_cast<Stored*>(const_cast<void*>(keys.data)) + layer_ * layer_size;
    step.values = static_cast<Stored*>(const_cast<void*>(values.data)) + layer_ * layer_size;
    step.tables = static_cast<const int32_t*>(tables.data);
    step.table_width = tables.dims[1];
    step.slots = static_cast<const int32_t*>(slots.data);
    step.positions = static_cast<const int32_t*>(positions.data);
    step.cos = static_cast<const float*>(cos.data);
    step.sin = static_cast<const float*>(sin.data);
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t slot = step.slots[token], position = step.positions[token];
      require(0 <= slot && slot < tables.dims[0] && 0 <= position && position < cos.dims[0] &&
                  position / penstock::kBlockRows < step.table_width,
              "a slot or a position is out of range");
      const int32_t block = step.table(static_cast<int>(token))[position / penstock::kBlockRows];
      require(0 <= block && block < keys.dims[1], "a table names a block that is not there");
    }
    std::vector<int64_t> dims = rows.dims;
    dims.back() = int64_t{shape_.heads} * step.shape.head_dim;
    OrtValue* attended = nullptr;
    void* to = nullptr;
    check(ort->KernelContext_GetOutput(context, 0, dims.data(), dims.size(), &attended));
    check(ort->GetTensorMutableData(attended, &to));
    step.attended = static_cast<float*>(to);
    return step;
  }

  static std::vector<Tile> tiles_of(const Step<Stored>& step) {
    std::vector<Tile> tiles;
    for (int token = 0; token < step.tokens; ++token) {
      const bool more = !tiles.empty() && token - tiles.back().first < kTileTokens &&
                        step.slots[token] == step.slots[token - 1] &&
                        step.positions[token] == step.positions[token - 1] + 1;
      if (more)
        ++tiles.back().last;
      else
        tiles.push_back({token, token + 1});
    }
    return tiles;
  }

  template <typename Part>
  static void parallel(const OrtKernelContext* context, int parts, const Part& part) {
    if (parts == 1) return part(0);
    const auto call = [](void* body, size_t index) { (*static_cast<const Part*>(body))(static_cast<int>(index)); };
    check(ort->KernelContext_ParallelFor(context, call, parts, 0, const_cast<Part*>(&part)));
  }

  Shape shape_{};
  int64_t layer_ = 0;
};

// The table of callbacks by which the runtime knows the operator.
template <typename Stored, ONNXTensorElementDataType kStored>
const OrtCustomOp* described() {
  static const OrtCustomOp op = [] {
    OrtCustomOp op{};
    op.version = ORT_API_VERSION;
    op.GetName = [](const OrtCustomOp*) { return "PagedAttention"; };
    op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
    op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kInputs; };
    op.GetInputType = [](const OrtCustomOp*, size_t index) {
      switch (index) {
        case kKeys:
        case kValues:
          return kStored;
        case kTables:
        case kSlots:
        case kPositions:
          return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
        default:
          return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
      }
    };
    op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
    op.GetOutputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
    op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
    op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
    op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
    op.GetStartVersion = [](const OrtCustomOp*) { return 1; };
    op.GetEndVersion = [](const OrtCustomOp*) { return 1; };
    op.CreateKernelV2 = [](const OrtCustomOp*, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
      return guarded([&] { *kernel = new Attention<Stored>(info); });
    };
    op.KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
      return guarded([&] { static_cast<const Attention<Stored>*>(kernel)->compute(context); });
    };
    op.KernelDestroy = [](void* kernel) { delete static_cast<Attention<Stored>*>(kernel); };
    return op;
  }();
  return &op;
}

}  // namespace

// Found by its name in a library that `SessionOptions.register_custom_ops_library` loads.
extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base) {
  ort = base->GetApi(ORT_API_VERSION);
  return guarded([&] {
    static OrtCustomOpDomain* domain = [] {
      OrtCustomOpDomain* made = nullptr;
      check(ort->CreateCustomOpDomain("penstock", &made));
      check(ort->CustomOpDomain_Add(made, described<float, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT>()));
      check(ort->CustomOpDomain_Add(made, described<Half, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16>()));
      return made;
    }();
    check(ort->AddCustomOpDomain(options, domain));
  });
}
