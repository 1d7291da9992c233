// penstock::PagedAttention, an operator of ONNX Runtime on the CPU. Its inputs are Step's fields, in their order;
// `keys` and `values` have another dimension in front, the model's layers, and are written in place.
#include <algorithm>
#include <type_traits>

#include "attention.hpp"
#include "operators.hpp"
#include "runtime.hpp"

namespace penstock {
namespace {

// Tokens of one sequence that are attended from together: a block's keys are read once for them.
constexpr int kTileTokens = 8;
constexpr int kStoredTogether = 8;  // tokens whose keys are written by one thread; so few are not worth another

enum Input : size_t { kQueryKeyValue, kKeys, kValues, kTables, kSlots, kPositions, kCos, kSin, kInputs };

// Consecutive tokens of one sequence.
struct Tile {
  int first, last;
};

template <typename Stored>
class Attention {
 public:
  static constexpr const char* kName = "PagedAttention";
  static constexpr size_t kInputs = penstock::kInputs;

  static ONNXTensorElementDataType input_type(size_t index) {
    switch (index) {
      case kKeys:
      case kValues:
        return std::is_same_v<Stored, Half> ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
                                            : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
      case kTables:
      case kSlots:
      case kPositions:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
      default:
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    }
  }

  static bool is_optional(size_t) { return false; }

  explicit Attention(const OrtKernelInfo* info) {
    const int64_t heads = attribute(info, "num_heads"), kv_heads = attribute(info, "kv_num_heads");
    layer_ = attribute(info, "layer");
    check(ort->KernelInfoGetAttribute_float(info, "scale", &shape_.scale));
    require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, "num_heads must be a multiple of kv_num_heads");
    shape_.heads = static_cast<int>(heads);
    shape_.kv_heads = static_cast<int>(kv_heads);
    shape_.window = static_cast<int>(attribute(info, "window"));
  }

  void compute(OrtKernelContext* context) const {
    Step<Stored> step = read(context);
    const int tokens = step.tokens;
    const std::vector<Tile> tiles = tiles_of(step);
    const AttentionKernels<Stored>& kernels = attention<Stored>();
    const int stores = (tokens + kStoredTogether - 1) / kStoredTogether;
    parallel(context, stores, stores, [&](int part) {
      kernels.store(step, part * kStoredTogether, std::min(tokens, (part + 1) * kStoredTogether));
    });
    const int heads = static_cast<int>(tiles.size()) * shape_.kv_heads;
    parallel(context, heads, heads, [&](int part) {
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
    require(layer_ < keys.dims[0] && keys.dims[2] == shape_.kv_heads && keys.dims[4] == kBlockRows &&
                step.shape.head_dim % 16 == 0,
            "keys are not [layers, blocks, kv_num_heads, a multiple of 16, 16]");
    require(values.dims[1] == keys.dims[1] && values.dims[4] == keys.dims[3], "values are not as large as keys");
    require(rows.dims.back() == step.shape.row_width() && rows.size() == tokens * rows.dims.back() &&
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
                  position / kBlockRows < step.table_width,
              "a slot or a position is out of range");
      const int32_t block = step.table(static_cast<int>(token))[position / kBlockRows];
      require(0 <= block && block < keys.dims[1], "a table names a block that is not there");
    }
    std::vector<int64_t> dims = rows.dims;
    dims.back() = int64_t{shape_.heads} * step.shape.head_dim;
    step.attended = output(context, dims);
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

  Shape shape_{};
  int64_t layer_ = 0;
};

}  // namespace

std::vector<const OrtCustomOp*> attention_operators() {
  return {described<Attention<float>>(), described<Attention<Half>>()};
}

}  // namespace penstock
