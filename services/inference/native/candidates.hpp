// The tokens among which one is drawn.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "registers.hpp"

namespace penstock::LEVEL {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Number the floats in their order, both zeros alike, and back.
int32_t rank(float value) {
  int32_t bits;
  value += 0.f;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits ^ (bits >> 31 & 0x7fffffff);
}

float of_rank(int32_t rank) {
  const int32_t bits = rank ^ (rank >> 31 & 0x7fffffff);
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

// Find where the running sum of weights passes a point, which becomes what is left of it. Never where there is no
// weight, whatever was rounded on the way.
int64_t passing(const float* weights, int64_t count, double& point) {
  int64_t last = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (weights[i] == 0) continue;
    last = i;
    if (point < weights[i]) break;
    point -= weights[i];
  }
  return last;
}

// Tokens that may be drawn, in the order of their ids.
class Candidates {
 public:
  // Take those tokens of a row whose logits reach a bound. `peak` is the largest of all.
  void gather(const std::vector<float>& peaks, const float* logits, const float* weights, float bound, float peak) {
    bound_ = bound;
    peak_ = peak;
    ids_.resize(std::max(ids_.size(), peaks.size() * kBlock));
    count_ = 0;
    for (size_t block = 0; block < peaks.size(); ++block) {
      if (peaks[block] < bound) continue;
      const int32_t first = static_cast<int32_t>(block * kBlock);
      for (int32_t at = first; at < first + kBlock; at += kLanes) {
        if (!any(load(logits + at) >= bound)) continue;
        for (int32_t token = at; token < at + kLanes; ++token) {
          ids_[count_] = token;
          count_ += logits[token] >= bound;
        }
      }
    }
    for (auto* column : {&logits_, &weights_, &ones_}) column->resize(ids_.size(), 1.f);
    for (int64_t i = 0; i < count_; ++i) {
      logits_[i] = logits[ids_[i]];
      weights_[i] = weights[ids_[i]];
    }
  }

  void keep_largest(int64_t count) {
    if (count < count_) keep(static_cast<double>(count), ones_);
  }

  // Keep the fewest that weigh so much together, heaviest first (Holtzman et al., ICLR 2020).
  void keep_nucleus(double weight) { keep(weight, weights_); }

  double weight() {
    pad();
    return worth(-kInfinity, weights_);
  }

  int64_t draw(double uniform) {
    double point = uniform * weight();
    return ids_[passing(weights_.data(), count_, point)];
  }

  // Write down all ids, likeliest first.
  void order(int64_t* ids) {
    std::vector<int> places(count_);
    for (int i = 0; i < count_; ++i) places[i] = i;
    std::stable_sort(places.begin(), places.end(), [&](int left, int right) { return logits_[left] > logits_[right]; });
    for (int i = 0; i < count_; ++i) ids[i] = ids_[places[i]];
  }

 private:
  // Keep the fewest that are worth so much together: the largest logits, and of equal ones the first.
  void keep(double wanted, const std::vector<float>& worths) {
    pad();
    int32_t low = rank(bound_), high = rank(peak_);
    while (low < high) {
      const int32_t middle = static_cast<int32_t>((int64_t{low} + high + 1) >> 1);
      if (worth(of_rank(middle), worths) >= wanted)
        low = middle;
      else
        high = middle - 1;
    }
    bound_ = of_rank(low);
    double spent = worth(of_rank(low + 1), worths);
    int64_t kept = 0;
    for (int64_t i = 0; i < count_; ++i) {
      const bool equal = logits_[i] == bound_, stays = equal ? spent < wanted : logits_[i] > bound_;
      if (equal) spent += worths[i];
      ids_[kept] = ids_[i];
      logits_[kept] = logits_[i];
      weights_[kept] = weights_[i];
      kept += stays;
    }
    count_ = kept;
  }

  // Add up what those at or above a bound are worth, in the same order always, so that it never rises with the bound.
  double worth(float bound, const std::vector<float>& worths) const {
    double total = 0;
    for (int64_t block = 0; block < count_; block += kBlock) {
      const float *logits = &logits_[block], *each = &worths[block];
      const auto reaching = [=](int i) { return where(load(logits + i) >= bound, load(each + i)); };
      total += over_block(reaching, kSum);
    }
    return total;
  }

  // Let the last block hold nothing else.
  void pad() {
    for (int64_t i = count_; i % kBlock; ++i) logits_[i] = -kInfinity, weights_[i] = 0;
  }

  float bound_ = 0, peak_ = 0;  // no logit is below the one, or above the other
  int64_t count_ = 0;
  std::vector<float> logits_, weights_, ones_;
  std::vector<int32_t> ids_;
};

}  // namespace
}  // namespace penstock::LEVEL
