// The sums before the nonlinearities.
#pragma once

#include "cells.h"
#include "gemm.h"
#include "layer.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// From weights that are packed panel by panel.
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
    for (long panel = 0; panel < panels_; panel++) pack_bias(panel, b_ + panel * kPanel);
    pack<Cell::kXFirst, Cell::kX>(layer.w_x, layer.inputs, w_x_);
    pack<Cell::kHFirst, Cell::kH>(layer.w_h, layer.hidden, w_h_);
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

  // A few rows of w at a time, so that neighbours in a row are read soon after one another.
  template <int First, int N>
  void pack(const float* w, long size, float* packed) const {
    const long columns = Cell::kGates * layer_.hidden;
    for (long begin = 0; begin < size; begin += kRowsOfPack) {
      const long end = smaller(begin + kRowsOfPack, size);
      for (long panel = 0; panel < panels_; panel++)
        for (int n = 0; n < N; n++) {
          const Columns<Cell> from(layer_.hidden, panel, First + n);
          const float* in = w + from.gate * layer_.hidden + from.unit;
          float* out = packed + panel * size * N * kWidth + n * kWidth;
          for (long k = begin; k < end; k++)
            store(out + k * N * kWidth, load(in + k * columns, from.size));
        }
    }
  }

  static constexpr long kRowsOfPack = 8;

  const Layer& layer_;
  const long panels_;
  const Array<float> b_, w_x_, w_h_;
};

}  // namespace birnn::BIRNN_ISA
