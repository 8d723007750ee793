// The forward pass of one direction over some rows of the batch.
#pragma once

#include "cells.h"
#include "gemm.h"
#include "layer.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// Few rows of a batch: the input of several steps is multiplied at once, so many rows in all.
constexpr long kRowsAtOnce = 24;

BIRNN_INLINE long smaller(long a, long b) { return a < b ? a : b; }
BIRNN_INLINE long larger(long a, long b) { return a > b ? a : b; }

// A step of a row that is visited.
struct Visit {
  long row, step;
};

BIRNN_INLINE bool is_valid(const Layer& layer, long row, long step) {
  return layer.valid == nullptr || layer.valid[row * layer.steps + step];
}

// The sums before the nonlinearities, from weights that are packed panel by panel.
template <class Cell>
class Sums {
 public:
  // Without `packs` there is nothing to multiply with.
  explicit Sums(const Layer& layer, bool packs = true)
      : layer_(layer),
        panels_(packs ? count_panels<Cell>(layer.hidden) : 0),
        b_(panels_ * kPanel),
        w_x_(panels_ * layer.inputs * Cell::kX * kWidth),
        w_h_(panels_ * layer.hidden * Cell::kH * kWidth) {
    for (long panel = 0; panel < panels_; panel++) {
      pack_bias(panel, b_ + panel * kPanel);
      pack<Cell::kXFirst, Cell::kX>(layer.w_x, layer.inputs, panel, w_x_);
      pack<Cell::kHFirst, Cell::kH>(layer.w_h, layer.hidden, panel, w_h_);
    }
  }

  static constexpr int kPanel = 4 * kWidth;
  long panels() const { return panels_; }

  // sums[k] for k from begin to end: the bias, and what the input xs[k] adds.
  void add_inputs(long panel, long begin, long end, const float* const* xs, float* sums) const {
    for_tiles(begin, end, [&](auto tile, long first) {
      Vec acc[tile.kRows][4];
      start(panel, acc, xs + first);
      for (int r = 0; r < tile.kRows; r++)
        for (int n = 0; n < 4; n++) store(sums + (first + r) * kPanel + n * kWidth, acc[r][n]);
    });
  }

  // Hands to finish(k, sums) what the state hs[k] adds to sums[k], or if there are no sums yet to
  // those of the input xs[k].
  template <class Finish>
  BIRNN_INLINE void add_states(long panel, long begin, long end, const float* const* xs,
                               const float* const* hs, const float* sums, Finish finish) const {
    const float* w = w_h_ + panel * layer_.hidden * Cell::kH * kWidth;
    for_tiles(begin, end, [&](auto tile, long first) {
      Vec acc[tile.kRows][4];
      if (sums == nullptr) {
        start(panel, acc, xs + first);
      } else {
        for (int r = 0; r < tile.kRows; r++)
          for (int n = 0; n < 4; n++)
            acc[r][n] = load(sums + (first + r) * kPanel + n * kWidth);
      }
      multiply_add<tile.kRows, Cell::kH, Cell::kHFirst, Cell::kH * kWidth>(
          acc, by_rows<tile.kRows>(hs + first), w, layer_.hidden);
      for (int r = 0; r < tile.kRows; r++) finish(first + r, acc[r]);
    });
  }

 private:
  template <int R>
  BIRNN_INLINE void start(long panel, Vec (&acc)[R][4], const float* const* xs) const {
    const float* b = b_ + panel * kPanel;
    for (int r = 0; r < R; r++)
      for (int n = 0; n < 4; n++) acc[r][n] = load(b + n * kWidth);
    multiply_add<R, Cell::kX, Cell::kXFirst, Cell::kX * kWidth>(
        acc, by_rows<R>(xs), w_x_ + panel * layer_.inputs * Cell::kX * kWidth, layer_.inputs);
  }

  void pack_bias(long panel, float* out) const {
    for (int sum = 0; sum < 4; sum++) {
      const Columns<Cell> from(layer_.hidden, panel, sum);
      const bool is_b_hn = Cell::kHasBHn && sum == 3;
      const float* b = is_b_hn ? layer_.b_hn : layer_.b + from.gate * layer_.hidden;
      store(out + sum * kWidth, load(b + from.unit, from.size));
    }
  }

  template <int First, int N>
  void pack(const float* w, long size, long panel, float* packed) const {
    const long columns = Cell::kGates * layer_.hidden;
    for (int n = 0; n < N; n++) {
      const Columns<Cell> from(layer_.hidden, panel, First + n);
      const float* in = w + from.gate * layer_.hidden + from.unit;
      float* out = packed + panel * size * N * kWidth + n * kWidth;
      for (long k = 0; k < size; k++)
        store(out + k * N * kWidth, load(in + k * columns, from.size));
    }
  }

  const Layer& layer_;
  const long panels_;
  const Array<float> b_, w_x_, w_h_;
};

template <class Cell>
class Forward {
 public:
  Forward(const Layer& layer, const Outputs& out, Rows rows)
      : layer_(layer),
        out_(out),
        rows_(rows),
        size_(rows.end - rows.begin),
        steps_(larger(1, smaller(layer.steps, kRowsAtOnce / larger(1, size_)))),
        sums_(layer),
        padded_(sums_.panels() * Cell::kUnits * kWidth),
        h_(2 * size_ * padded_),
        c_(size_ * padded_),
        turn_(size_),
        visits_(size_ * steps_),
        xs_(size_ * steps_),
        hs_(size_ * steps_),
        ahead_(steps_ == 1 ? 0 : sums_.panels() * size_ * steps_ * Sums<Cell>::kPanel) {}

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
        visits_[count] = {i, step};
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
      std::memset(out_.gates + at * Cell::kKept * layer_.hidden, 0, Cell::kKept * size);
  }

  void advance(long begin, long end) {
    for (long k = begin; k < end; k++) hs_[k] = h(visits_[k].row, turn_[visits_[k].row]);
    for (long panel = 0; panel < sums_.panels(); panel++) {
      sums_.add_states(panel, begin, end, xs_, hs_, steps_ == 1 ? nullptr : ahead(panel),
                       [&](long k, const Vec* sums) { finish(panel, visits_[k], sums); });
    }
    for (long k = begin; k < end; k++) turn_[visits_[k].row] ^= 1;
  }

  BIRNN_INLINE void finish(long panel, Visit visit, const Vec* sums) {
    const long at = (rows_.begin + visit.row) * layer_.steps + visit.step;
    for (int n = 0; n < Cell::kUnits; n++) {
      const Columns<Cell> to(layer_.hidden, panel, n);
      float* c_state = c(visit.row) + to.unit;
      const int turn = turn_[visit.row];
      Unit unit{Cell::kHasC ? load(c_state) : Vec{}, load(h(visit.row, turn) + to.unit)};
      Vec kept[4];
      Cell::step(sums + n, kept, unit);
      store(h(visit.row, turn ^ 1) + to.unit, unit.h);
      store(out_.ys + at * out_.y_stride + to.unit, unit.h, to.size);
      if (Cell::kHasC) {
        store(c_state, unit.c);
        if (out_.cs) store(out_.cs + at * layer_.hidden + to.unit, unit.c, to.size);
      }
      if (Cell::kKept && out_.gates)
        for (int gate = 0; gate < Cell::kKept; gate++)
          store(out_.gates + (at * Cell::kKept + gate) * layer_.hidden + to.unit, kept[gate],
                to.size);
    }
  }

  float* h(long i, int turn) const { return h_ + (turn * size_ + i) * padded_; }
  float* c(long i) const { return c_ + i * padded_; }
  float* ahead(long panel) const {
    return ahead_ + panel * size_ * steps_ * Sums<Cell>::kPanel;
  }

  const Layer& layer_;
  const Outputs& out_;
  const Rows rows_;
  const long size_, steps_;  // rows, and steps whose input is multiplied at once
  const Sums<Cell> sums_;
  const long padded_;
  const Array<float> h_, c_;  // [2, size, padded]: before and after a step; [size, padded]
  const Array<unsigned char> turn_;  // which h of a row is the one before
  const Array<Visit> visits_;
  const Array<const float*> xs_, hs_;
  const Array<float> ahead_;  // sums of the input, if of several steps at once
};

template <class Cell>
void forward(const Layer& layer, const Outputs& out, Rows rows) {
  Forward<Cell>(layer, out, rows).run();
}

}  // namespace birnn::BIRNN_ISA
