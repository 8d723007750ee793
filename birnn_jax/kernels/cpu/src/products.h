// Gradients of weights: products of what they were multiplied with and derivatives of sums.
#pragma once

#include "columns.h"
#include "gemm.h"

namespace birnn::BIRNN_ISA {

// Of one panel, over a group of steps.
struct Products {
  Layout layout;
  long panel, count, hidden;
  long stride;          // from one step to the next, of arguments
  const float* d_sums;  // [count, kPanel]

  // columns: from one row of d_w to the next.
  // d_w[j, columns of the panel] += sum over steps of arguments[j] d_sums
  template <int First, int N>
  void add(const float* arguments, long size, float* d_w, long columns) const {
    long to[N], sizes[N];
    for (int n = 0; n < N; n++) {
      const Columns place(layout, hidden, panel, First + n);
      to[n] = place.gate * hidden + place.unit;
      sizes[n] = place.size;
    }
    for_tiles(0, size, [&](auto tile, long first) {
      Vec acc[tile.kRows][kSums];
      for (int r = 0; r < tile.kRows; r++)
        for (int n = 0; n < N; n++)
          acc[r][n] = load(d_w + (first + r) * columns + to[n], sizes[n]);
      const ByColumns<tile.kRows> a{arguments + first, stride};
      multiply_add<tile.kRows, N, 0>(acc, a, Packed<kPanel>{d_sums + First * kWidth}, count);
      for (int r = 0; r < tile.kRows; r++)
        for (int n = 0; n < N; n++)
          store(d_w + (first + r) * columns + to[n], acc[r][n], sizes[n]);
    });
  }
};

}  // namespace birnn::BIRNN_ISA
