// The arithmetic of attention.
#include "attention.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "levels.hpp"
#include "vectors.hpp"

namespace penstock::LEVEL {
namespace {

#if defined(__AVX512F__)
constexpr int kScoredTogether = 8;   // queries whose sums are in registers at once
constexpr int kWeighedTogether = 4;  // queries, times
constexpr int kColumnsTogether = 4;  // vectors of an output row
#else
constexpr int kScoredTogether = 3;
constexpr int kWeighedTogether = 3;
constexpr int kColumnsTogether = 2;
#endif
constexpr int kFetchedAhead = 6;  // blocks

// Rotate a head's two halves against each other, as the models of Hugging Face do.
void rotate(const float* head, const float* cos, const float* sin, int half, float scale, float* to) {
  for (int i = 0; i < half; ++i) {
    to[i] = (head[i] * cos[i] - head[i + half] * sin[i]) * scale;
    to[i + half] = (head[i + half] * cos[i] + head[i] * sin[i]) * scale;
  }
}

template <typename Stored>
void store_rows(const Step<Stored>& step, int first, int last) {
  const Shape& shape = step.shape;
  const int dim = shape.head_dim, half = dim / 2;
  std::vector<float> key(dim);
  for (int token = first; token < last; ++token) {
    const int position = step.positions[token], row = position % kBlockRows;
    const int64_t block = step.table(token)[position / kBlockRows];
    const float* from = step.query_key_value + int64_t{token} * shape.row_width() + shape.heads * dim;
    for (int head = 0; head < shape.kv_heads; ++head) {
      const int64_t place = (block * shape.kv_heads + head) * dim * kBlockRows;
      rotate(from + head * dim, step.cos + int64_t{position} * half, step.sin + int64_t{position} * half, half, 1.f,
             key.data());
      const float* value = from + (shape.kv_heads + head) * dim;
      for (int i = 0; i < dim; ++i) {
        put(step.keys + place + i * kBlockRows + row, key[i]);
        put(step.values + place + row * dim + i, value[i]);
      }
    }
  }
}

// Ask for a block that is needed soon.
template <typename Stored>
void fetch(const Stored* block, int dim) {
  const char* from = reinterpret_cast<const char*>(block);
  const int size = dim * kBlockRows * static_cast<int>(sizeof(Stored));
  for (int at = 0; at < size; at += 64) __builtin_prefetch(from + at);
  asm volatile("");  // GCC takes a function that only prefetches for one that does nothing
}

// Multiply queries [Queries, dim] with a block's keys. Even and odd dimensions are summed apart: no sum waits for
// itself.
template <int Queries, typename Stored>
void score(const float* queries, const Stored* keys, int dim, float* scores, int64_t row) {
  Floats even[Queries] = {}, odd[Queries] = {};
  for (int i = 0; i < dim; i += 2) {
    const Floats first = load(keys + i * kBlockRows), second = load(keys + (i + 1) * kBlockRows);
    for (int query = 0; query < Queries; ++query) {
      even[query] += first * queries[query * dim + i];
      odd[query] += second * queries[query * dim + i + 1];
    }
  }
  for (int query = 0; query < Queries; ++query) store(scores + query * row, even[query] + odd[query]);
}

// Add the rows [begin, end) of a block's values, weighed, to Vectors vectors of columns of outputs [Queries, dim].
template <int Queries, int Vectors, typename Stored>
void weigh(const float* weights, int64_t row, const Stored* values, int dim, int begin, int end, float* outputs) {
  Floats sums[Queries][Vectors];
  for (int query = 0; query < Queries; ++query)
    for (int i = 0; i < Vectors; ++i) sums[query][i] = load(outputs + query * dim + i * kLanes);
  for (int at = begin; at < end; ++at) {
    Floats value[Vectors];
    for (int i = 0; i < Vectors; ++i) value[i] = load(values + at * dim + i * kLanes);
    for (int query = 0; query < Queries; ++query)
      for (int i = 0; i < Vectors; ++i) sums[query][i] += value[i] * weights[query * row + at];
  }
  for (int query = 0; query < Queries; ++query)
    for (int i = 0; i < Vectors; ++i) store(outputs + query * dim + i * kLanes, sums[query][i]);
}

// The rows that a token at this position attends to.
struct Span {
  int begin, end;
};

Span span(const Shape& shape, int position) {
  return {shape.window ? std::max(0, position + 1 - shape.window) : 0, position + 1};
}

// Turn a query's scores into weights that come to the sum that is given. Scores outside of the span become 0.
float soften(float* scores, int begin, int end, Span span) {
  constexpr float kNumbers[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Floats lanes = load(kNumbers), nothing = all(-std::numeric_limits<float>::infinity());
  Floats most = nothing;
  for (int row = begin; row < end; row += kLanes) {
    const Floats at = lanes + static_cast<float>(row);
    const Ints outside = (at < static_cast<float>(span.begin)) | (at >= static_cast<float>(span.end));
    const Floats masked = where(outside, nothing, load(scores + row - begin));
    store(scores + row - begin, masked);
    most = larger(most, masked);
  }
  const float maximum = fold(most, [](float left, float right) { return std::max(left, right); });
  Floats sums = {};
  for (int row = begin; row < end; row += kLanes) {
    const Floats weights = exponential(load(scores + row - begin) - maximum);
    store(scores + row - begin, weights);
    sums += weights;
  }
  return fold(sums, [](float left, float right) { return left + right; });
}

template <typename Stored>
void attend(const Step<Stored>& step, int first, int last, int kv_head) {
  const Shape& shape = step.shape;
  const int dim = shape.head_dim, group = shape.group(), queries = (last - first) * group;
  const int begin = span(shape, step.positions[first]).begin / kBlockRows * kBlockRows;
  const int end = step.positions[last - 1] + 1;
  const int64_t row = (end - begin + kBlockRows - 1) / kBlockRows * kBlockRows;
  const int32_t* table = step.table(first);
  const auto place = [&](int at) {
    return (int64_t{table[at / kBlockRows]} * shape.kv_heads + kv_head) * dim * kBlockRows;
  };
  // Blocks lie apart, so that the processor does not foresee which is next: of keys, then of values, then of the next
  // head's keys, which is attended from next.
  const auto fetch_ahead = [&](int at) {
    at += kFetchedAhead * kBlockRows;
    if (at < begin + row)
      fetch(step.keys + place(at), dim);
    else if ((at -= row) < begin + row)
      fetch(step.values + place(at), dim);
    else if ((at -= row) < begin + row && kv_head + 1 < shape.kv_heads)
      fetch(step.keys + place(at) + dim * kBlockRows, dim);
  };

  thread_local std::vector<float> turned, scores, outputs, sums;
  turned.resize(queries * dim);
  outputs.assign(queries * dim, 0.f);
  sums.resize(queries);
  scores.resize(queries * row);
  for (int query = 0; query < queries; ++query) {
    const int token = first + query / group;
    const int64_t turn = int64_t{step.positions[token]} * dim / 2;
    rotate(step.query_key_value + int64_t{token} * shape.row_width() + (kv_head * group + query % group) * dim,
           step.cos + turn, step.sin + turn, dim / 2, shape.scale, turned.data() + query * dim);
  }
  for (int at = begin; at < end; at += kBlockRows) {
    fetch_ahead(at);
    in_parts<kScoredTogether>(queries, [&](auto size, int query) {
      score<size>(turned.data() + query * dim, step.keys + place(at), dim, scores.data() + query * row + at - begin,
                  row);
    });
  }
  for (int query = 0; query < queries; ++query)
    sums[query] =
        soften(scores.data() + query * row, begin, begin + row, span(shape, step.positions[first + query / group]));
  for (int at = begin; at < end; at += kBlockRows) {
    fetch_ahead(at + row);
    in_parts<kWeighedTogether>(queries, [&](auto size, int query) {
      // A row behind the last of all may hold anything, even what is no number.
      const int rows = std::min(kBlockRows, end - at);
      in_parts<kColumnsTogether>(dim / kLanes, [&](auto vectors, int vector) {
        weigh<size, vectors>(scores.data() + query * row + at - begin, row, step.values + place(at) + vector * kLanes,
                             dim, 0, rows, outputs.data() + query * dim + vector * kLanes);
      });
    });
  }
  for (int query = 0; query < queries; ++query) {
    float* to = step.attended + (int64_t{first + query / group} * shape.heads + kv_head * group + query % group) * dim;
    for (int i = 0; i < dim; ++i) to[i] = outputs[query * dim + i] / sums[query];
  }
}

}  // namespace

template <typename Stored>
const AttentionKernels<Stored>& attention() {
  static const AttentionKernels<Stored> all{store_rows<Stored>, attend<Stored>};
  return all;
}
template const AttentionKernels<float>& attention<float>();
template const AttentionKernels<Half>& attention<Half>();

}  // namespace penstock::LEVEL
