// One weight matrix as the product with it reads it.
#pragma once

#include "columns.h"
#include "gemm.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// The columns of sums First to First + N - 1 of every panel: packed panel by panel, or, where packing
// would take longer than it saves, where they stand.
template <int First, int N>
class Weights {
 public:
  // `reads` is how often each weight is going to be read, 0 for never.
  Weights(Layout layout, Matrix matrix, long reads)
      : layout_(layout),
        matrix_(matrix),
        panels_(reads <= most_in_place() ? 0 : layout.count_panels(matrix.hidden)),
        packed_(panels_ * matrix.rows * N * kWidth) {
    pack();
  }

  // sums[r] += sum over k of a(r, k) w[k] for the sums of one panel.
  template <int R, class A>
  BIRNN_INLINE void multiply(long panel, Vec (&sums)[R][kSums], const A& a) const {
    if (panels_ > 0)
      multiply_add<R, N, First>(sums, a, Packed<N * kWidth>{of_panel(panel)}, matrix_.rows);
    else
      multiply_add<R, N, First>(sums, a, in_place(panel), matrix_.rows);
  }

 private:
  // A vector that stands alone is a whole line of the cache; none may reach beyond the matrix.
  long most_in_place() const {
    constexpr long kLine = 64;
    const bool fits = kWidth * sizeof(float) == kLine && matrix_.hidden % (layout_.units * kWidth) == 0;
    return fits ? kMostInPlace : 0;
  }

  float* of_panel(long panel) const { return packed_ + panel * matrix_.rows * N * kWidth; }

  InPlace<N> in_place(long panel) const {
    InPlace<N> b;
    b.stride = matrix_.stride;
    for (int n = 0; n < N; n++) {
      const Columns from(layout_, matrix_.hidden, panel, First + n);
      b.first[n] = matrix_.w + from.gate * matrix_.hidden + from.unit;
    }
    return b;
  }

  // A few rows of w at a time, so that neighbours in a row are read soon after one another.
  void pack() {
    for (long begin = 0; begin < matrix_.rows; begin += kRowsOfPack) {
      const long end = smaller(begin + kRowsOfPack, matrix_.rows);
      for (long panel = 0; panel < panels_; panel++)
        for (int n = 0; n < N; n++) {
          const Columns from(layout_, matrix_.hidden, panel, First + n);
          const float* in = matrix_.w + from.gate * matrix_.hidden + from.unit;
          float* out = of_panel(panel) + n * kWidth;
          for (long k = begin; k < end; k++)
            store(out + k * N * kWidth, load(in + k * matrix_.stride, from.size));
        }
    }
  }

  static constexpr long kRowsOfPack = 8, kMostInPlace = 8;

  const Layout layout_;
  const Matrix matrix_;
  const long panels_;
  const Array<float> packed_;
};

}  // namespace birnn::BIRNN_ISA
