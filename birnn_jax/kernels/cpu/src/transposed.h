// Products of derivatives of sums with transposed weights.
#pragma once

#include "columns.h"
#include "gemm.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// Rows of a transposed weight matrix, packed for products with derivatives of sums: for each kPanel of them
// those of all panels that were multiplied with them, N * kWidth of a panel, one after another.
template <int First, int N>
class Transposed {
 public:
  BIRNN_ALONE Transposed(Layout layout, Matrix matrix)
      : matrix_(matrix),
        size_(matrix.units()),
        panels_(layout.count_panels(matrix.hidden)),
        starts_(size_ / kPanel + 2),
        packed_(place()) {
    for (long to = 0; to < size_; to += kPanel)
      for (long panel = first_panel(to); panel < end_panel(to); panel++)
        for (int n = 0; n < N; n++) {
          const Columns from(layout, matrix.hidden, panel, First + n);
          // What unit `to` is multiplied with stands in this row.
          const long row = to - matrix.first_unit(from.unit);
          const Scalar* in = matrix.w + from.gate * matrix.hidden + from.unit;
          const Packed<kSums> out = of_columns(to, panel);
          for (long j = 0; j < kPanel; j++) {
            const bool is_there = row + j >= 0 && row + j < matrix.rows;
            const long at = out(n * kWidth, j / kWidth) - packed_ + j % kWidth;
            const long next = out(n * kWidth + 1, j / kWidth) - packed_ + j % kWidth - at;
            for (long k = 0; k < kWidth; k++)
              packed_[at + k * next] =
                  is_there && k < from.size ? in[(row + j) * matrix.stride + k] : 0;
          }
        }
  }

  // For k from begin to end, the columns from `column` on, at most kPanel of them:
  // targets[k][j] += sum over n of d_sums[n of k] w[column + j, n]
  BIRNN_ALONE void multiply(long column, long begin, long end, const Scalar* d_sums, long group,
                            Scalar* const* targets) const {
    const long vectors = (smaller(kPanel, size_ - column) + kWidth - 1) / kWidth;
    switch (vectors) {
      case 1: return multiply<1>(column, begin, end, d_sums, group, targets);
      case 2: return multiply<2>(column, begin, end, d_sums, group, targets);
      case 3: return multiply<3>(column, begin, end, d_sums, group, targets);
      default: return multiply<kSums>(column, begin, end, d_sums, group, targets);
    }
  }

 private:
  static constexpr long kDepth = N * kWidth;  // of one panel

  // Panels whose columns are multiplied with some of the kPanel units from `to` on. With heads a panel is of one.
  long first_panel(long to) const { return matrix_.first_unit(to) / kWidth; }
  long end_panel(long to) const {
    const long last = smaller(to + kPanel, size_) - 1;
    return matrix_.has_heads ? (matrix_.first_unit(last) + matrix_.rows) / kWidth : panels_;
  }
  long depth(long to) const { return (end_panel(to) - first_panel(to)) * kDepth; }

  // Where the panels of each kPanel units begin; returns the size of all.
  long place() const {
    long size = 0;
    for (long to = 0; to < size_; to += kPanel) {
      starts_[to / kPanel] = size;
      size += depth(to) * kPanel;
    }
    return size;
  }

  Packed<kSums> of_columns(long column, long panel) const {
    const long at = (panel - first_panel(column)) * kDepth;
    return {packed_ + starts_[column / kPanel], depth(column), at};
  }

  template <int V>
  BIRNN_ALONE void multiply(long column, long begin, long end, const Scalar* d_sums,
                                          long group, Scalar* const* targets) const {
    const long from = first_panel(column), count = end_panel(column) - from;
    const Packed<kSums> packed = of_columns(column, from);
    for_tiles(begin, end, [&](auto tile, long first) {
      for_parts<V>(tile.kRows <= kFewRows, [&](auto part) {
        multiply_add(
            tile, part, SumsByRows{targets + first},
            [=](long panel) {
              return Stacked<kPanel>{d_sums + ((from + panel) * group + first) * kPanel + First * kWidth};
            },
            [=](long panel) { return Packed<kSums>{packed.first, packed.rows, panel * kDepth}; }, kDepth, count);
      });
    });
  }

  const Matrix matrix_;
  const long size_, panels_;
  const Array<long> starts_;
  const Array<Scalar> packed_;
};

}  // namespace birnn::BIRNN_ISA
