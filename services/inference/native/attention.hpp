// Causal grouped-query attention over keys and values that lie in blocks (PagedAttention, SOSP 2023).
#pragma once
#include <cstddef>
#include <cstdint>

#include "half.hpp"

namespace penstock {

// Rows of a block. Its keys lie dimension by dimension, so that one load gives one dimension of 16 rows: a query's
// products with them are sums that grow side by side, and no vector is ever added up across.
constexpr int kBlockRows = 16;

// What a model's attention is: the same for every step.
struct Shape {
  int heads;
  int kv_heads;
  int head_dim;  // a multiple of 16
  int window;    // a token attends to as many, itself among them; 0: to all
  float scale;

  int group() const { return heads / kv_heads; }
  int row_width() const { return (heads + 2 * kv_heads) * head_dim; }
};

// What a step is given: tokens of any number of sequences, those of one sequence side by side and in their order.
// `Stored` is float or Half.
template <typename Stored>
struct Step {
  Shape shape;
  int tokens;
  const float* query_key_value;  // [tokens, row_width]: all heads' queries, then keys, then values
  Stored* keys;                  // [blocks, kv_heads, head_dim, kBlockRows]
  Stored* values;                // [blocks, kv_heads, kBlockRows, head_dim]
  const int32_t* tables;         // [slots, table_width]: the blocks of each sequence, in order
  int64_t table_width;
  const int32_t* slots;      // [tokens]: whose each token is
  const int32_t* positions;  // [tokens]
  const float* cos;          // [positions, head_dim / 2]
  const float* sin;
  float* attended;  // [tokens, heads * head_dim]

  const int32_t* table(int token) const { return tables + slots[token] * table_width; }
};

// The two parts of a step. The second reads what the first wrote, of its own tokens too. Whatever else is in the step,
// and however a sequence's tokens are divided among steps, each gets the same bits.
template <typename Stored>
struct AttentionKernels {
  // Turn the keys of tokens [first, last), and write them and the values to where they belong.
  void (*store)(const Step<Stored>& step, int first, int last);
  // Attend from tokens [first, last) of one sequence with the queries of one key head.
  void (*attend)(const Step<Stored>& step, int first, int last, int kv_head);
};

// Give what is fastest on this processor.
template <typename Stored>
const AttentionKernels<Stored>& attention();

}  // namespace penstock
