// The sums before the nonlinearities.
#pragma once

#include "cells.h"
#include "layer.h"
#include "packed.h"

namespace birnn::BIRNN_ISA {

template <class Cell>
class Sums {
 public:
  // How often each weight of the input and of the state is going to be read: 0 for never.
  Sums(const Layer& layer, const PackedLayer<Cell>& packed, long reads_x, long reads_h)
      : layer_(layer),
        panels_(reads_h ? Cell::kLayout.count_panels(layer.hidden) : 0),
        b_(panels_ * kPanel),
        w_x_(Cell::kLayout, matrix_of_x<Cell>(layer), reads_x, packed.x()),
        w_h_(Cell::kLayout, matrix_of_h<Cell>(layer), reads_h, packed.h()) {
    for (long panel = 0; panel < panels_; panel++) pack_bias(panel, b_ + panel * kPanel);
  }
  long panels() const { return panels_; }
  const float* bias() const { return b_; }  // [panels, kPanel]

  // sums[k] for k from begin to end: the bias, and what the input xs[k] adds. Without the bias, if
  // the product is to be normalised.
  void add_inputs(long panel, long begin, long end, const float* const* xs, float* sums) const {
    for_tiles(begin, end, [&](auto tile, long first) {
      Vec acc[tile.kRows][kSums];
      start(panel, acc, xs + first);
      for (int r = 0; r < tile.kRows; r++)
        for (int n = 0; n < kSums; n++) store(sums + (first + r) * kPanel + n * kWidth, acc[r][n]);
    });
  }

  // Hands to finish(k, sums) what the state hs[k] adds to sums[k], or if there are no sums yet to
  // those of the input xs[k].
  template <class Finish>
  BIRNN_INLINE void add_states(long panel, long begin, long end, const float* const* xs,
                               const float* const* hs, const float* sums, Finish finish) const {
    for_tiles(begin, end, [&](auto tile, long first) {
      Vec acc[tile.kRows][kSums];
      if (sums == nullptr) {
        start(panel, acc, xs + first);
      } else {
        for (int r = 0; r < tile.kRows; r++)
          for (int n = 0; n < kSums; n++)
            acc[r][n] = load(sums + (first + r) * kPanel + n * kWidth);
      }
      if constexpr (Cell::kH > 0) w_h_.multiply(panel, acc, by_rows<tile.kRows>(hs + first));
      for (int r = 0; r < tile.kRows; r++) finish(first + r, acc[r]);
    });
  }

  // The same of what the state adds alone.
  void multiply_states(long panel, long begin, long end, const float* const* hs, float* sums) const {
    for_tiles(begin, end, [&](auto tile, long first) {
      Vec acc[tile.kRows][kSums] = {};
      w_h_.multiply(panel, acc, by_rows<tile.kRows>(hs + first));
      for (int r = 0; r < tile.kRows; r++)
        for (int n = 0; n < kSums; n++) store(sums + (first + r) * kPanel + n * kWidth, acc[r][n]);
    });
  }

 private:
  template <int R>
  BIRNN_INLINE void start(long panel, Vec (&acc)[R][kSums], const float* const* xs) const {
    const float* b = b_ + panel * kPanel;
    for (int r = 0; r < R; r++)
      for (int n = 0; n < kSums; n++) acc[r][n] = Cell::kIsNormed ? Vec{} : load(b + n * kWidth);
    w_x_.multiply(panel, acc, by_rows<R>(xs));
  }

  void pack_bias(long panel, float* out) const {
    std::memset(out, 0, kPanel * sizeof(float));
    for (int sum = 0; sum < Cell::kCount; sum++) {
      const Columns from(Cell::kLayout, layer_.hidden, panel, sum);
      const bool is_b_hn = Cell::kHasBHn && sum == 3;
      const float* b = is_b_hn ? layer_.extra : layer_.b + from.gate * layer_.hidden;
      store(out + sum * kWidth, load(b + from.unit, from.size));
    }
  }

  const Layer& layer_;
  const long panels_;
  const Array<float> b_;
  const Weights<Cell::kXFirst, Cell::kX> w_x_;
  const Weights<Cell::kHFirst, Cell::kH> w_h_;
};

// Hands to finish(panel, k, sums) the product of rows[k] with the matrix, of `columns` columns.
template <class Finish>
BIRNN_INLINE void multiply_plain(const Weights<0, kSums>& matrix, long columns,
                                 long begin, long end, const float* const* rows, Finish finish) {
  for (long panel = 0; panel < kPlain.count_panels(columns); panel++)
    for_tiles(begin, end, [&](auto tile, long first) {
      Vec acc[tile.kRows][kSums] = {};
      matrix.multiply(panel, acc, by_rows<tile.kRows>(rows + first));
      for (int r = 0; r < tile.kRows; r++) finish(panel, first + r, acc[r]);
    });
}

}  // namespace birnn::BIRNN_ISA
