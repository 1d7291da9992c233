// The arithmetic of drawing. Nothing is sorted: what is kept of a distribution are the tokens at and above some logit,
// and that is found by halving the range in which it lies.
#include "drawing.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "levels.hpp"

namespace penstock::LEVEL {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr int kBlockTokens = 128;
constexpr int kFetchedAhead = 16 * kBlockTokens;  // a step's other threads wrote logits: they lie in their caches
constexpr double kLog2E = 1.4426950408889634;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNatsStep = 2;  // of the bounds that are tried for a nucleus: few are enough, and few tokens pass them
constexpr float kNatsMax = 88;  // so far below the likeliest, a token weighs nothing

// As wide as a register: what the compiler would make of several is slow where lanes are compared.
typedef float Floats __attribute__((vector_size(4 * kLanes), aligned(4)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes), aligned(4)));
typedef float Quarter __attribute__((vector_size(16)));

Floats load(const float* from) { return *reinterpret_cast<const Floats*>(from); }
void store(float* to, Floats values) { *reinterpret_cast<Floats*>(to) = values; }
Floats all(float value) { return Floats{} + value; }
Floats where(Ints condition, Floats values) { return (Floats)(condition & (Ints)values); }

void fetch(const float* block) {
  for (int i = 0; i < kBlockTokens; i += 16) __builtin_prefetch(block + i);
}

// Tell whether a condition holds in any lane.
bool any(Ints condition) {
  int64_t pairs[kLanes / 2], found = 0;
  __builtin_memcpy(pairs, &condition, sizeof pairs);
  for (const int64_t pair : pairs) found |= pair;
  return found != 0;
}

constexpr auto kSum = [](auto left, auto right) { return left + right; };
constexpr auto kLarger = [](auto left, auto right) { return left > right ? left : right; };

// Put together what `part` gives for each vector of a block, by halves: a block's first half with its second, and so on
// down to one number. So the order is the same for any width of vectors.
template <typename Part, typename Fold>
__attribute__((always_inline)) inline float over_block(Part part, Fold together) {
  constexpr int kHalf = kBlockTokens / kLanes / 2;
  Floats parts[kHalf];
  for (int i = 0; i < kHalf; ++i) parts[i] = together(part(i * kLanes), part((i + kHalf) * kLanes));
  for (int width = kHalf / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) parts[i] = together(parts[i], parts[i + width]);
  Quarter quarters[kLanes / 4];
  __builtin_memcpy(quarters, parts, sizeof quarters);
  for (int width = kLanes / 8; width; width /= 2)
    for (int i = 0; i < width; ++i) quarters[i] = together(quarters[i], quarters[i + width]);
  const Quarter last = quarters[0];
  return together(together(last[0], last[2]), together(last[1], last[3]));
}

// 2^x for x <= 0, to 2e-7 of its value; exactly 1 at 0, and 0 below where single precision ends. The polynomial is
// taken in halves, which do not wait for each other.
Floats power_of_two(Floats x) {
  constexpr float kShift = 12582912.f + 127.f;  // with it, a float's last bits are the rounded integer, biased
  const Floats in_range = x > -127.f ? x : all(-127.f);
  const Floats shifted = in_range + kShift;
  const Floats rest = in_range - (shifted - kShift), square = rest * rest;
  const Floats low = rest * 6.931470037e-1f + 1.f, middle = rest * 5.550733581e-2f + 2.402224243e-1f;
  const Floats high = rest * 1.326472731e-3f + 9.671512991e-3f;
  return ((high * square + middle) * square + low) * (Floats)((Ints)shifted << 23);
}

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
    ids_.resize(std::max(ids_.size(), peaks.size() * kBlockTokens));
    count_ = 0;
    for (size_t block = 0; block < peaks.size(); ++block) {
      if (peaks[block] < bound) continue;
      const int32_t first = static_cast<int32_t>(block * kBlockTokens);
      for (int32_t at = first; at < first + kBlockTokens; at += kLanes) {
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
    for (int64_t block = 0; block < count_; block += kBlockTokens) {
      const float *logits = &logits_[block], *each = &worths[block];
      const auto reaching = [=](int i) { return where(load(logits + i) >= bound, load(each + i)); };
      total += over_block(reaching, kSum);
    }
    return total;
  }

  // Let the last block hold nothing else.
  void pad() {
    for (int64_t i = count_; i % kBlockTokens; ++i) logits_[i] = -kInfinity, weights_[i] = 0;
  }

  float bound_ = 0, peak_ = 0;  // no logit is below the one, or above the other
  int64_t count_ = 0;
  std::vector<float> logits_, weights_, ones_;
  std::vector<int32_t> ids_;
};

// A row of logits in whole blocks, and what is worked out of it.
class Row {
 public:
  // Begin with a row, which is copied if it is to be changed, or ends within a block.
  void read(const float* logits, int64_t tokens, bool changes) {
    tokens_ = tokens;
    blocks_ = (tokens + kBlockTokens - 1) / kBlockTokens;
    logits_ = logits;
    if (!changes && tokens % kBlockTokens == 0) return;
    copy_.resize(blocks_ * kBlockTokens);
    std::copy(logits, logits + tokens, copy_.begin());
    std::fill(copy_.begin() + tokens, copy_.end(), -kInfinity);
    logits_ = copy_.data();
  }

  void change(const Rule& rule) {
    for (const Edit* edit = rule.edits; edit < rule.edits + rule.edit_count; ++edit) {
      if (edit->token >= tokens_) continue;  // a tokenizer may know more tokens than the model
      float& logit = copy_[edit->token];
      logit += edit->bias;
      logit = (logit > 0 ? logit / edit->repetition : logit * edit->repetition) - edit->deduction;
    }
    if (rule.allowed == nullptr) return;
    Ints bit;
    for (int lane = 0; lane < kLanes; ++lane) bit[lane] = 1 << lane;
    for (int64_t token = 0; token < tokens_; token += kLanes) {
      const Ints may = (Ints{} + (rule.allowed[token / 16] >> token % 16)) & bit;
      store(&copy_[token], may != 0 ? load(&copy_[token]) : all(-kInfinity));
    }
  }

  // Find the largest logit of each block and of all, and tell whether that is a finite number and all are numbers.
  bool measure() {
    peaks_.resize(blocks_);
    Ints numbers = Ints{} - 1;
    peak_ = -kInfinity;
    for (int64_t block = 0; block < blocks_; ++block) {
      const float* from = logits_ + block * kBlockTokens;
      const auto counted = [&](int i) {
        const Floats logits = load(from + i);
        numbers &= logits == logits;
        return logits;
      };
      fetch(from + kFetchedAhead);
      peaks_[block] = over_block(counted, kLarger);
      peak_ = std::max(peak_, peaks_[block]);
    }
    for (int lane = 0; lane < kLanes; ++lane)
      if (!numbers[lane]) return false;
    return std::isfinite(peak_);
  }

  float peak() const { return peak_; }

  int64_t likeliest() const {
    const int64_t block = std::find(peaks_.begin(), peaks_.end(), peak_) - peaks_.begin();
    return std::find(logits_ + block * kBlockTokens, logits_ + tokens_, peak_) - logits_;
  }

  // Give tokens their probabilities up to a factor, the likeliest 1, and return the sum.
  double weigh(double temperature) {
    temperature_ = temperature;
    weights_.resize(blocks_ * kBlockTokens);
    sums_.resize(blocks_);
    const float scale = static_cast<float>(kLog2E / temperature), peak = peak_;
    weight_ = 0;
    for (int64_t block = 0; block < blocks_; ++block) {
      const float* from = logits_ + block * kBlockTokens;
      float* to = &weights_[block * kBlockTokens];
      const auto weighed = [=](int i) {
        const Floats weights = power_of_two((load(from + i) - peak) * scale);
        store(to + i, weights);
        return weights;
      };
      sums_[block] = over_block(weighed, kSum);
      weight_ += sums_[block];
    }
    return weight_;
  }

  int64_t draw(const Rule& rule) {
    const bool cut = rule.top_k > 0 && rule.top_k < tokens_;
    if (!cut && rule.min_p <= 0 && rule.top_p >= 1) return draw_any(rule.uniform);
    float bound = -kInfinity;
    if (rule.min_p > 0) bound = static_cast<float>(peak_ + temperature_ * std::log(rule.min_p));
    if (cut) bound = std::max(bound, bound_of_count(rule.top_k));
    double whole = weight_;
    const bool narrow = cut || rule.min_p > 0;
    if (!narrow) bound = bound_of_weight(rule.top_p * weight_);
    candidates_.gather(peaks_, logits_, weights_.data(), bound, peak_);
    if (cut) candidates_.keep_largest(rule.top_k);
    if (narrow) whole = candidates_.weight();
    if (rule.top_p < 1) candidates_.keep_nucleus(rule.top_p * whole);
    return candidates_.draw(rule.uniform);
  }

  void largest(int64_t count, int64_t* tokens) {
    candidates_.gather(peaks_, logits_, weights_.data(), bound_of_count(count), peak_);
    candidates_.keep_largest(count);
    candidates_.order(tokens);
  }

 private:
  int64_t draw_any(double uniform) const {
    double point = uniform * weight_;
    const int64_t block = passing(sums_.data(), blocks_, point) * kBlockTokens;
    return block + passing(&weights_[block], kBlockTokens, point);
  }

  // Give a bound that at least so many logits reach: as many blocks have a peak that does.
  float bound_of_count(int64_t count) {
    if (count > blocks_) return -kInfinity;
    ordered_ = peaks_;
    std::nth_element(ordered_.begin(), ordered_.begin() + count - 1, ordered_.end(), std::greater<>());
    return ordered_[count - 1];
  }

  // Give a bound that tokens of at least so much weight reach.
  float bound_of_weight(double wanted) const {
    for (float nats = kNatsStep; nats < kNatsMax; nats += kNatsStep) {
      const float bound = static_cast<float>(peak_ - nats * temperature_);
      double weight = 0;
      for (int64_t block = 0; block < blocks_; ++block) {
        if (peaks_[block] < bound) continue;
        const float *logits = logits_ + block * kBlockTokens, *weights = &weights_[block * kBlockTokens];
        const auto reaching = [=](int i) { return where(load(logits + i) >= bound, load(weights + i)); };
        weight += over_block(reaching, kSum);
      }
      if (weight >= wanted) return bound;
    }
    return -kInfinity;
  }

  const float* logits_ = nullptr;
  int64_t tokens_ = 0, blocks_ = 0;
  float peak_ = 0;
  double temperature_ = 1, weight_ = 0;
  std::vector<float> copy_, peaks_, ordered_, weights_, sums_;
  Candidates candidates_;
};

int64_t choose_one(Row& row, const float* logits, int64_t tokens, const Rule& rule) {
  const bool changes = rule.edit_count || rule.allowed != nullptr;
  row.read(logits, tokens, changes);
  if (!row.measure()) return -1;
  if (changes) {
    row.change(rule);
    if (!row.measure()) return -1;
  }
  if (rule.temperature <= 0) return row.likeliest();
  row.weigh(rule.temperature);
  return row.draw(rule);
}

Row& own_row() {
  thread_local Row row;
  return row;
}

void choose(const float* const* rows, const Rule* const* rules, int64_t count, int64_t tokens, int64_t* chosen) {
  Row& row = own_row();
  for (int64_t i = 0; i < count; ++i) chosen[i] = choose_one(row, rows[i], tokens, *rules[i]);
}

double normaliser(const float* logits, int64_t tokens, int64_t count, int64_t* likeliest) {
  Row& row = own_row();
  row.read(logits, tokens, false);
  if (!row.measure()) return std::numeric_limits<double>::quiet_NaN();
  const double weight = row.weigh(1);
  if (count) row.largest(count, likeliest);
  return row.peak() + std::log(weight);
}

}  // namespace

const DrawingKernels& drawing() {
  static const DrawingKernels kernels{choose, normaliser};
  return kernels;
}

}  // namespace penstock::LEVEL
