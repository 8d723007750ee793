// The forward pass of one direction over some rows of the batch.
#pragma once

#include "sums.h"
#include "valid_steps.h"

namespace birnn::BIRNN_ISA {

// Few rows of a batch: the input of several steps is multiplied at once, so many rows in all.
constexpr long kRowsAtOnce = 24;

template <class Cell>
class Forward {
 public:
  Forward(const Layer& layer, const Outputs& out, Rows rows)
      : layer_(layer),
        out_(out),
        rows_(rows),
        size_(rows.end - rows.begin),
        steps_(larger(1, smaller(layer.steps, kRowsAtOnce / larger(1, size_)))),
        sums_(layer, larger(1, count_tiles(size_ * layer.steps)),
              larger(1, count_tiles(size_) * layer.steps)),
        padded_(sums_.panels() * Cell::kUnits * kWidth),
        h_(2 * size_ * padded_),
        c_(size_ * padded_),
        turn_(size_),
        row_steps_(size_ * steps_),
        xs_(size_ * steps_),
        hs_(size_ * steps_),
        ahead_(steps_ == 1 ? 0 : sums_.panels() * size_ * steps_ * kPanel) {}

  void run() {
    begin();
    Array<long> ends(steps_ + 1);
    for (long first = 0; first < layer_.steps; first += steps_) {
      const long last = smaller(first + steps_, layer_.steps);
      long count = 0;
      for (long k = first; k < last; k++) {
        ends[k - first] = count;
        count = collect(layer_.reverse ? layer_.steps - 1 - k : k, count);
      }
      ends[last - first] = count;
      if (steps_ > 1)
        for (long panel = 0; panel < sums_.panels(); panel++)
          sums_.add_inputs(panel, 0, count, xs_, ahead(panel));
      for (long k = 0; k < last - first; k++) advance(ends[k], ends[k + 1]);
    }
    end();
  }

 private:
  void begin() {
    std::memset(h_, 0, 2 * size_ * padded_ * sizeof(float));
    std::memset(c_, 0, size_ * padded_ * sizeof(float));
    for (long i = 0; i < size_; i++) {
      const long from = (rows_.begin + i) * layer_.hidden;
      turn_[i] = 0;
      std::memcpy(h(i, 0), layer_.h + from, layer_.hidden * sizeof(float));
      if (Cell::kHasC) std::memcpy(c(i), layer_.c + from, layer_.hidden * sizeof(float));
    }
  }

  void end() {
    for (long i = 0; i < size_; i++) {
      const long to = (rows_.begin + i) * layer_.hidden;
      std::memcpy(out_.h + to, h(i, turn_[i]), layer_.hidden * sizeof(float));
      if (Cell::kHasC) std::memcpy(out_.c + to, c(i), layer_.hidden * sizeof(float));
    }
  }

  long collect(long step, long count) {
    for (long i = 0; i < size_; i++) {
      const long row = rows_.begin + i;
      if (is_valid(layer_, row, step)) {
        row_steps_[count] = {i, step};
        xs_[count++] = layer_.xs + (row * layer_.steps + step) * layer_.inputs;
      } else {
        skip(row * layer_.steps + step);
      }
    }
    return count;
  }

  void skip(long at) {
    const long size = layer_.hidden * sizeof(float);
    std::memset(out_.ys + at * out_.y_stride, 0, size);
    if (out_.cs) std::memset(out_.cs + at * layer_.hidden, 0, size);
    if (out_.gates)
      std::memset(out_.gates + at * Cell::kStored * layer_.hidden, 0, Cell::kStored * size);
  }

  void advance(long begin, long end) {
    for (long k = begin; k < end; k++) hs_[k] = h(row_steps_[k].row, turn_[row_steps_[k].row]);
    // With few rows the weights are most of the traffic: those used last are those next.
    flips_ = !flips_ && steps_ > 1;
    for (long k = 0; k < sums_.panels(); k++) {
      const long panel = flips_ ? sums_.panels() - 1 - k : k;
      sums_.add_states(panel, begin, end, xs_, hs_, steps_ == 1 ? nullptr : ahead(panel),
                       [&](long k, const Vec* sums) { finish(panel, row_steps_[k], sums); });
    }
    for (long k = begin; k < end; k++) turn_[row_steps_[k].row] ^= 1;
  }

  BIRNN_INLINE void finish(long panel, RowStep at_step, const Vec* sums) {
    const long at = (rows_.begin + at_step.row) * layer_.steps + at_step.step;
    for (int n = 0; n < Cell::kUnits; n++) {
      const Columns<Cell> to(layer_.hidden, panel, n);
      float* c_state = c(at_step.row) + to.unit;
      const int turn = turn_[at_step.row];
      Unit unit{Cell::kHasC ? load(c_state) : Vec{}, load(h(at_step.row, turn) + to.unit)};
      Vec stored[kSums];
      Cell::step(sums + n, stored, unit);
      store(h(at_step.row, turn ^ 1) + to.unit, unit.h);
      store(out_.ys + at * out_.y_stride + to.unit, unit.h, to.size);
      if (Cell::kHasC) {
        store(c_state, unit.c);
        if (out_.cs) store(out_.cs + at * layer_.hidden + to.unit, unit.c, to.size);
      }
      if (Cell::kStored && out_.gates)
        for (int gate = 0; gate < Cell::kStored; gate++)
          store(out_.gates + (at * Cell::kStored + gate) * layer_.hidden + to.unit, stored[gate],
                to.size);
    }
  }

  float* h(long i, int turn) const { return h_ + (turn * size_ + i) * padded_; }
  float* c(long i) const { return c_ + i * padded_; }
  float* ahead(long panel) const {
    return ahead_ + panel * size_ * steps_ * kPanel;
  }

  const Layer& layer_;
  const Outputs& out_;
  const Rows rows_;
  const long size_, steps_;  // rows, and steps whose input is multiplied at once
  const Sums<Cell> sums_;
  const long padded_;
  const Array<float> h_, c_;  // [2, size, padded]: before and after a step; [size, padded]
  const Array<unsigned char> turn_;  // which h of a row is the one before
  const Array<RowStep> row_steps_;
  const Array<const float*> xs_, hs_;
  bool flips_ = false;
  const Array<float> ahead_;  // sums of the input, if of several steps at once
};

template <class Cell>
void forward(const Layer& layer, const Outputs& out, Rows rows) {
  Forward<Cell>(layer, out, rows).run();
}

}  // namespace birnn::BIRNN_ISA
