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
  BIRNN_ALONE Weights(Layout layout, Matrix matrix, long reads, const Scalar* packed)
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
  BIRNN_ALONE static void pack(Layout layout, Matrix matrix, Scalar* packed) {
    const long panels = layout.count_panels(matrix.hidden);
    for (long begin = 0; begin < matrix.rows; begin += kRowsOfPack) {
      const long end = smaller(begin + kRowsOfPack, matrix.rows);
      for (long panel = 0; panel < panels; panel++)
        for (int n = 0; n < N; n++) {
          const Columns from(layout, matrix.hidden, panel, First + n);
          const Scalar* in = matrix.w + from.gate * matrix.hidden + from.unit;
          const Packed<N> to = of_panel(packed, matrix.rows, panel);
          for (long k = begin; k < end; k++)
            store(packed + (to(k, n) - packed), load(in + k * matrix.stride, from.size));
        }
    }
  }

  // For so many rows: sums[row, First + n] += their product with the columns of one panel. A function of its own, which
  // is compiled once for all cells.
  BIRNN_ALONE void multiply(long panel, long count, const Scalar* const* rows, Scalar* sums) const {
    multiply_inline(panel, count, rows, sums);
  }

  // For a single row, whose sums stay in registers.
  BIRNN_INLINE void multiply(long panel, One count, const Scalar* const* rows, Scalar* sums) const {
    multiply_inline(panel, count, rows, sums);
  }

 private:
  template <class Count>
  BIRNN_INLINE void multiply_inline(long panel, Count count, const Scalar* const* rows, Scalar* sums) const {
    const long from = matrix_.first_unit(panel * layout_.units * kWidth);
    if (is_packed_)
      multiply(count, rows, from, of_panel(packed_, matrix_.rows, panel), sums + First * kWidth);
    else
      multiply(count, rows, from, in_place(panel), sums + First * kWidth);
  }

  // All rows with a part of the vectors: it is in the nearest cache for them.
  template <class Count, class B>
  BIRNN_INLINE void multiply(Count count, const Scalar* const* rows, long from, const B& b, Scalar* sums) const {
    for_parts<N>(count <= kFewRows, [&](auto part) {
      for_tiles<part.kSize>(0, count, [&](auto tile, long first) {
        using A = ByRows<tile.kRows>;
        multiply_add(tile, part, SumsByStride<kPanel>{sums + first * kPanel},
                     Once<A>{by_rows<tile.kRows>(rows + first, from)}, Once<B>{b}, matrix_.rows, 1);
      });
    });
  }

  // A vector that stands alone is a whole line of the cache; none may reach beyond the matrix.
  long most_in_place() const {
    constexpr long kLine = 64;
    const bool fits = kWidth * sizeof(Scalar) == kLine && matrix_.hidden % (layout_.units * kWidth) == 0;
    return fits ? kMostInPlace : 0;
  }

  static Packed<N> of_panel(const Scalar* packed, long rows, long panel) {
    return {packed + panel * rows * N * kWidth, rows, 0};
  }

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
  const Array<Scalar> own_;
  const Scalar* const packed_;
};

}  // namespace birnn::BIRNN_ISA
