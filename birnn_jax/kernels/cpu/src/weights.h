// One weight matrix as the product with it reads it.
#pragma once

#include "columns.h"
#include "gemm.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// The columns of sums First to First + N - 1 of every panel: packed panel by panel, here or by an
// earlier call, or, where packing would take longer than it saves, where they stand.
template <int First, int N>
class Weights {
 public:
  // `reads` is how often each weight is going to be read, 0 for never; `packed` is what `pack` made
  // of the matrix, or null.
  Weights(Layout layout, Matrix matrix, long reads, const float* packed)
      : layout_(layout),
        matrix_(matrix),
        is_packed_(packed || reads > most_in_place()),
        own_(packed || !is_packed_ ? 0 : size(layout, matrix)),
        packed_(packed ? packed : own_) {
    if (is_packed_ && packed == nullptr) pack(layout, matrix, own_);
  }

  // Floats of a packed matrix.
  static long size(Layout layout, Matrix matrix) {
    return layout.count_panels(matrix.hidden) * matrix.rows * N * kWidth;
  }

  // A few rows of w at a time, so that neighbours in a row are read soon after one another.
  static void pack(Layout layout, Matrix matrix, float* packed) {
    const long panels = layout.count_panels(matrix.hidden);
    for (long begin = 0; begin < matrix.rows; begin += kRowsOfPack) {
      const long end = smaller(begin + kRowsOfPack, matrix.rows);
      for (long panel = 0; panel < panels; panel++)
        for (int n = 0; n < N; n++) {
          const Columns from(layout, matrix.hidden, panel, First + n);
          const float* in = matrix.w + from.gate * matrix.hidden + from.unit;
          float* out = packed + panel * matrix.rows * N * kWidth + n * kWidth;
          for (long k = begin; k < end; k++)
            store(out + k * N * kWidth, load(in + k * matrix.stride, from.size));
        }
    }
  }

  // sums[r] += sum over k of a(r, k) w[k] for the sums of one panel.
  template <int R, class A>
  BIRNN_INLINE void multiply(long panel, Vec (&sums)[R][kSums], const A& a) const {
    if (is_packed_)
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

  const float* of_panel(long panel) const { return packed_ + panel * matrix_.rows * N * kWidth; }

  InPlace<N> in_place(long panel) const {
    InPlace<N> b;
    b.stride = matrix_.stride;
    for (int n = 0; n < N; n++) {
      const Columns from(layout_, matrix_.hidden, panel, First + n);
      b.first[n] = matrix_.w + from.gate * matrix_.hidden + from.unit;
    }
    return b;
  }

  static constexpr long kRowsOfPack = 8, kMostInPlace = 8;

  const Layout layout_;
  const Matrix matrix_;
  const bool is_packed_;
  const Array<float> own_;
  const float* const packed_;
};

}  // namespace birnn::BIRNN_ISA
