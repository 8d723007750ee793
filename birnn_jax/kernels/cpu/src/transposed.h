// Products of derivatives of sums with transposed weights.
#pragma once

#include "columns.h"
#include "gemm.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// Rows of a transposed weight matrix, packed for products with derivatives of sums: for each kPanel of them
// those of all panels, N * kWidth of a panel, one after another.
template <int First, int N>
class Transposed {
 public:
  Transposed(Layout layout, Matrix matrix)
      : size_(matrix.rows),
        panels_(layout.count_panels(matrix.hidden)),
        packed_(round_up(size_, kPanel) * panels_ * N * kWidth) {
    for (long to = 0; to < size_; to += kPanel)
      for (long panel = 0; panel < panels_; panel++)
        for (int n = 0; n < N; n++) {
          const Columns from(layout, matrix.hidden, panel, First + n);
          const Scalar* in = matrix.w + from.gate * matrix.hidden + from.unit;
          const Packed<kSums> out = of_columns(to, panel);
          for (long j = 0; j < kPanel; j++) {
            const long at = out(n * kWidth, j / kWidth) - packed_ + j % kWidth;
            const long next = out(n * kWidth + 1, j / kWidth) - packed_ + j % kWidth - at;
            for (long k = 0; k < kWidth; k++)
              packed_[at + k * next] =
                  to + j < size_ && k < from.size ? in[(to + j) * matrix.stride + k] : 0;
          }
        }
  }

  // For k from begin to end, the columns from `column` on, at most kPanel of them:
  // targets[k][j] += sum over n of d_sums[n of k] w[column + j, n]
  void multiply(long column, long begin, long end, const Scalar* d_sums, long group,
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

  Packed<kSums> of_columns(long column, long panel) const {
    const long depth = panels_ * kDepth;
    return {packed_ + column / kPanel * depth * kPanel, depth, panel * kDepth};
  }

  template <int V>
  void multiply(long column, long begin, long end, const Scalar* d_sums, long group,
                Scalar* const* targets) const {
    for_tiles(begin, end, [&](auto tile, long first) {
      for_parts<V>(tile.kRows <= kFewRows, [&](auto part) {
        multiply_add(
            tile, part, SumsByRows{targets + first},
            [=](long panel) {
              return Stacked<kPanel>{d_sums + (panel * group + first) * kPanel + First * kWidth};
            },
            [=](long panel) { return of_columns(column, panel); }, kDepth, panels_);
      });
    });
  }

  const long size_, panels_;
  const Array<Scalar> packed_;
};

}  // namespace birnn::BIRNN_ISA
