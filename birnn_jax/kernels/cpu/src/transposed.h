// Products of derivatives of sums with transposed weights.
#pragma once

#include "columns.h"
#include "gemm.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// Rows of a transposed weight matrix, packed for products with derivatives of sums:
// [size / kPanel][panels][N * kWidth][kPanel].
template <int First, int N>
class Transposed {
 public:
  Transposed(Layout layout, Matrix matrix)
      : size_(matrix.rows),
        panels_(layout.count_panels(matrix.hidden)),
        packed_(round_up(size_, kPanel) * panels_ * N * kWidth) {
    float* out = packed_;
    for (long to = 0; to < size_; to += kPanel)
      for (long panel = 0; panel < panels_; panel++)
        for (int n = 0; n < N; n++, out += kWidth * kPanel) {
          const Columns from(layout, matrix.hidden, panel, First + n);
          const float* in = matrix.w + from.gate * matrix.hidden + from.unit;
          for (long j = 0; j < kPanel; j++)
            for (long k = 0; k < kWidth; k++)
              out[k * kPanel + j] =
                  to + j < size_ && k < from.size ? in[(to + j) * matrix.stride + k] : 0.0f;
        }
  }

  // For k from begin to end, the columns from `column` on, at most kPanel of them:
  // targets[k][j] += sum over n of d_sums[n of k] w[column + j, n]
  void multiply(long column, long begin, long end, const float* d_sums, long group,
                float* const* targets) const {
    const long vectors = (smaller(kPanel, size_ - column) + kWidth - 1) / kWidth;
    switch (vectors) {
      case 1: return multiply<1>(column, begin, end, d_sums, group, targets);
      case 2: return multiply<2>(column, begin, end, d_sums, group, targets);
      case 3: return multiply<3>(column, begin, end, d_sums, group, targets);
      default: return multiply<kSums>(column, begin, end, d_sums, group, targets);
    }
  }

 private:
  template <int V>
  void multiply(long column, long begin, long end, const float* d_sums, long group,
                float* const* targets) const {
    constexpr long kDepth = N * kWidth;  // of one panel
    const float* w = packed_ + column / kPanel * panels_ * kDepth * kPanel;
    for_tiles(begin, end, [&](auto tile, long first) {
      Vec acc[tile.kRows][kSums];
      for (int r = 0; r < tile.kRows; r++)
        for (int n = 0; n < V; n++) acc[r][n] = load(targets[first + r] + n * kWidth);
      for (long panel = 0; panel < panels_; panel++) {
        ByRows<tile.kRows> a;
        for (int r = 0; r < tile.kRows; r++)
          a.rows[r] = d_sums + (panel * group + first + r) * kPanel + First * kWidth;
        multiply_add<tile.kRows, V, 0>(acc, a, Packed<kPanel>{w + panel * kDepth * kPanel}, kDepth);
      }
      for (int r = 0; r < tile.kRows; r++)
        for (int n = 0; n < V; n++) store(targets[first + r] + n * kWidth, acc[r][n]);
    });
  }

  const long size_, panels_;
  const Array<float> packed_;
};

}  // namespace birnn::BIRNN_ISA
