// A weight matrix of whole numbers of 8 bits, with a scale for each column.
#pragma once

#include "columns.h"
#include "whole_numbers.h"

namespace birnn::BIRNN_ISA {

struct ByteMatrix {
  const std::int8_t* w;
  const float* scales;  // [columns]
  long rows, hidden, stride;
};

// As Weights. For each panel: the weights, as multiply_whole reads them, then for each of its
// columns the scale, and kOffset times the sum of the weights.
template <int First, int N>
class ByteWeights {
 public:
  ByteWeights(Layout layout, ByteMatrix matrix, const std::int8_t* packed)
      : rows_(matrix.rows),
        own_(packed ? 0 : size(layout, matrix)),
        packed_(packed ? packed : own_) {
    if (packed == nullptr) pack(layout, matrix, own_);
  }

  static long size(Layout layout, ByteMatrix matrix) {
    return layout.count_panels(matrix.hidden) * of_panel(matrix.rows);
  }

  static void pack(Layout layout, ByteMatrix matrix, std::int8_t* packed) {
    std::memset(packed, 0, size(layout, matrix));
    for (long panel = 0; panel < layout.count_panels(matrix.hidden); panel++)
      for (int n = 0; n < N; n++) {
        const Columns from(layout, matrix.hidden, panel, First + n);
        std::int8_t* weights = packed + panel * of_panel(matrix.rows);
        std::int8_t* scales = weights + of_weights(matrix.rows) + n * kVector;
        const long column = from.gate * matrix.hidden + from.unit;
        for (long j = 0; j < from.size; j++) {
          const std::int8_t* in = matrix.w + column + j;
          std::int32_t sum = 0;
          for (long k = 0; k < matrix.rows; k++) {
            const std::int8_t w = in[k * matrix.stride];
            weights[((k / kDepth * N + n) * kWidth + j) * kDepth + k % kDepth] = w;
            sum += w;
          }
          sum *= kOffset;
          std::memcpy(scales + j * 4, matrix.scales + column + j, 4);
          std::memcpy(scales + N * kVector + j * 4, &sum, 4);
        }
      }
  }

  // sums[r] += the product of row first + r with the weights of one panel.
  template <int R>
  BIRNN_INLINE void multiply(long panel, Vec (&sums)[R][kSums], const WholeRows& rows,
                             long first) const {
    const std::int8_t* weights = packed_ + panel * of_panel(rows_);
    const std::int8_t* scales = weights + of_weights(rows_);
    Ints totals[R][N] = {};
    multiply_whole(totals, rows, first, weights, rows_);
    for (int n = 0; n < N; n++) {
      Vec scale;
      Ints offset;
      std::memcpy(&scale, scales + n * kVector, kVector);
      std::memcpy(&offset, scales + (N + n) * kVector, kVector);
      for (int r = 0; r < R; r++)
        sums[r][First + n] += __builtin_convertvector(totals[r][n] - offset, Vec) *
                              (scale * rows.scale(first + r));
    }
  }

 private:
  static constexpr long kVector = sizeof(Vec);
  static long of_weights(long rows) { return round_up(rows, kDepth) * N * kWidth; }
  // In whole lines of the cache.
  static long of_panel(long rows) { return round_up(of_weights(rows) + 2 * N * kVector, 64); }

  const long rows_;
  const Array<std::int8_t> own_;
  const std::int8_t* const packed_;
};

}  // namespace birnn::BIRNN_ISA
