// One weight matrix as the product with it reads it.
#pragma once

#include "cells.h"
#include "gemm.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// The columns of sums First to First + N - 1 of every panel, of w [size, G*H]: packed panel by panel,
// or, where packing would take longer than it saves, where they stand.
template <class Cell, int First, int N>
class Weights {
 public:
  // `reads` is how often each weight is going to be read, 0 for never.
  Weights(const float* w, long size, long hidden, long reads)
      : w_(w),
        size_(size),
        hidden_(hidden),
        panels_(reads <= most_in_place(hidden) ? 0 : count_panels<Cell>(hidden)),
        packed_(panels_ * size * N * kWidth) {
    pack();
  }

  // sums[r] += sum over k of a(r, k) w[k] for the sums of one panel.
  template <int R, class A>
  BIRNN_INLINE void multiply(long panel, Vec (&sums)[R][kSums], const A& a) const {
    if (panels_ > 0)
      multiply_add<R, N, First>(sums, a, Packed<N * kWidth>{of_panel(panel)}, size_);
    else
      multiply_add<R, N, First>(sums, a, in_place(panel), size_);
  }

 private:
  // A vector that stands alone is a whole line of the cache; none may reach beyond the matrix.
  static long most_in_place(long hidden) {
    constexpr long kLine = 64;
    const bool fits = kWidth * sizeof(float) == kLine && hidden % (Cell::kUnits * kWidth) == 0;
    return fits ? kMostInPlace : 0;
  }

  float* of_panel(long panel) const { return packed_ + panel * size_ * N * kWidth; }
  long columns() const { return Cell::kGates * hidden_; }

  InPlace<N> in_place(long panel) const {
    InPlace<N> b;
    b.stride = columns();
    for (int n = 0; n < N; n++) {
      const Columns<Cell> from(hidden_, panel, First + n);
      b.first[n] = w_ + from.gate * hidden_ + from.unit;
    }
    return b;
  }

  // A few rows of w at a time, so that neighbours in a row are read soon after one another.
  void pack() {
    for (long begin = 0; begin < size_; begin += kRowsOfPack) {
      const long end = smaller(begin + kRowsOfPack, size_);
      for (long panel = 0; panel < panels_; panel++)
        for (int n = 0; n < N; n++) {
          const Columns<Cell> from(hidden_, panel, First + n);
          const float* in = w_ + from.gate * hidden_ + from.unit;
          float* out = of_panel(panel) + n * kWidth;
          for (long k = begin; k < end; k++)
            store(out + k * N * kWidth, load(in + k * columns(), from.size));
        }
    }
  }

  static constexpr long kRowsOfPack = 8, kMostInPlace = 8;

  const float* w_;
  const long size_, hidden_, panels_;
  const Array<float> packed_;
};

}  // namespace birnn::BIRNN_ISA
