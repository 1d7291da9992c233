// Choosing tokens from logits: temperature, min-p, top-k and top-p, and the likeliest with their normaliser.
#pragma once
#include <cstdint>

namespace penstock {

// What changes the logit of one token, in this order. Python's side of these structures is drawing.py.
struct Edit {
  int32_t token;
  float bias;        // added
  float repetition;  // divides what is above 0 then, and multiplies what is not
  float deduction;   // taken off
};

// How a token is chosen from a row.
struct Rule {
  const Edit* edits;  // of tokens that differ
  int64_t edit_count;
  const uint16_t* allowed;  // a bit for each token, the lowest first: whether it may come; null: all may
  double uniform;           // in [0, 1): the point of the distribution that is taken
  double temperature;       // 0: the likeliest token is taken
  double min_p;             // 0: off
  double top_p;             // 1: off
  int64_t top_k;            // 0: off
};

// What each level of vector instructions gives. All of them give the same bits: their sums are taken in one order, and
// drawing.cpp is compiled without fused products, whose rounding the others do not have.
struct DrawingKernels {
  // Choose a token from each row of logits [tokens]. Where the largest logit is not finite, before the edits or after
  // them, there is none: -1.
  void (*choose)(const float* const* rows, const Rule* const* rules, int64_t count, int64_t tokens, int64_t* chosen);
  // Give the logarithm of the sum of all exponentials of a row, and its `count` likeliest tokens in order.
  double (*normaliser)(const float* logits, int64_t tokens, int64_t count, int64_t* likeliest);
};

}  // namespace penstock
