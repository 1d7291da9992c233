// The arithmetic of drawing. Nothing is sorted: what is kept of a distribution are the tokens at and above some logit,
// and that is found by halving the range in which it lies.
#include "drawing.hpp"

#include <cmath>
#include <functional>

#include "candidates.hpp"
#include "levels.hpp"

namespace penstock::LEVEL {
namespace {

constexpr int kFetchedAhead = 16 * kBlock;  // a step's other threads wrote logits: they lie in their caches
constexpr double kLog2E = 1.4426950408889634;
constexpr float kNatsStep = 2;  // of the bounds that are tried for a nucleus: few are enough, and few tokens pass them
constexpr float kNatsMax = 88;  // so far below the likeliest, a token weighs nothing

void fetch(const float* block) {
  for (int i = 0; i < kBlock; i += 16) __builtin_prefetch(block + i);
}

// A row of logits in whole blocks, and what is worked out of it.
class Row {
 public:
  // Begin with a row, which is copied if it is to be changed, or ends within a block.
  void read(const float* logits, int64_t tokens, bool changes) {
    tokens_ = tokens;
    blocks_ = (tokens + kBlock - 1) / kBlock;
    logits_ = logits;
    if (!changes && tokens % kBlock == 0) return;
    copy_.resize(blocks_ * kBlock);
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
      const float* from = logits_ + block * kBlock;
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
    return std::find(logits_ + block * kBlock, logits_ + tokens_, peak_) - logits_;
  }

  // Give tokens their probabilities up to a factor, the likeliest 1, and return the sum.
  double weigh(double temperature) {
    temperature_ = temperature;
    weights_.resize(blocks_ * kBlock);
    sums_.resize(blocks_);
    const float scale = static_cast<float>(kLog2E / temperature), peak = peak_;
    weight_ = 0;
    for (int64_t block = 0; block < blocks_; ++block) {
      const float* from = logits_ + block * kBlock;
      float* to = &weights_[block * kBlock];
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
    const bool top_k = rule.top_k > 0 && rule.top_k < tokens_, min_p = rule.min_p > 0, top_p = rule.top_p < 1;
    if (!top_k && !min_p && !top_p) return draw_any(rule.uniform);
    float bound = top_k || min_p ? -kInfinity : bound_of_weight(rule.top_p * weight_);
    if (min_p) bound = static_cast<float>(peak_ + temperature_ * std::log(rule.min_p));
    if (top_k) bound = std::max(bound, bound_of_count(rule.top_k));
    candidates_.gather(peaks_, logits_, weights_.data(), bound, peak_);
    if (top_k) candidates_.keep_largest(rule.top_k);
    if (top_p) candidates_.keep_nucleus(rule.top_p * (top_k || min_p ? candidates_.weight() : weight_));
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
    const int64_t block = passing(sums_.data(), blocks_, point) * kBlock;
    return block + passing(&weights_[block], kBlock, point);
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
        const float *logits = logits_ + block * kBlock, *weights = &weights_[block * kBlock];
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
