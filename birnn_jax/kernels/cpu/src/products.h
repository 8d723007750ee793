// Gradients of weights: products of what they were multiplied with and derivatives of sums.
#pragma once

#include "columns.h"
#include "gemm.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// That of the columns of sums First to First + N - 1. It grows by a group of steps at a time, packed panel by
// panel, [panels][rows][N * kWidth]: in the matrix itself each vector of a panel is in another page.
template <int First, int N>
class WeightGradient {
 public:
  // Of so many rows; none if it is not wanted.
  WeightGradient(Layout layout, long rows, long hidden)
      : layout_(layout), rows_(rows), hidden_(hidden), packed_(layout.count_panels(hidden) * rows * kSize) {}

  void clear() const {
    std::memset(packed_, 0, layout_.count_panels(hidden_) * rows_ * kSize * sizeof(Scalar));
  }

  // Of `count` steps: what the rows were multiplied with, from one step to the next `stride`, and derivatives of
  // the sums of one panel, [count, kPanel].
  BIRNN_ALONE void add(long panel, long count, const Scalar* arguments, long stride, const Scalar* d_sums) const {
    for_tiles(0, rows_, [&](auto tile, long first) {
      for_parts<N>(tile.kRows <= kFewRows, [&](auto part) {
        multiply_add(tile, part, SumsByStride<kSize>{packed_ + (panel * rows_ + first) * kSize},
                     Once<ByColumns>{{arguments + first, stride}},
                     Once<Dense<kPanel>>{{d_sums + First * kWidth}}, count, 1);
      });
    });
  }

  // Into the matrix, `columns` from one row to the next.
  BIRNN_ALONE void write(Scalar* d_w, long columns) const {
    for (long panel = 0; panel < layout_.count_panels(hidden_); panel++)
      for (long row = 0; row < rows_; row++)
        for (int n = 0; n < N; n++) {
          const Columns to(layout_, hidden_, panel, First + n);
          store(d_w + row * columns + to.gate * hidden_ + to.unit,
                load(packed_ + (panel * rows_ + row) * kSize + n * kWidth), to.size);
        }
  }

 private:
  static constexpr long kSize = N * kWidth;

  const Layout layout_;
  const long rows_, hidden_;
  const Array<Scalar> packed_;
};

}  // namespace birnn::BIRNN_ISA
