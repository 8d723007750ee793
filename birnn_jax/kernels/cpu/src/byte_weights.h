// A weight matrix of whole numbers of 8 bits, with a scale for each column.
#pragma once

#include "columns.h"
#include "gemm.h"
#include "whole_tiles.h"

namespace birnn::BIRNN_ISA {

struct ByteMatrix {
  const std::int8_t* w;
  const float* scales;  // [columns]
  long rows, hidden, stride;
};

// As Weights. For each panel: the weights, as multiply_whole reads them, then for each of its
// columns the scale, and what its sum starts with: kOffset times the sum of the weights less than zero.
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
          std::int32_t start = 0;
          for (long k = 0; k < matrix.rows; k++) {
            const std::int8_t w = in[k * matrix.stride];
            weights[((k / kDepth * N + n) * kWidth + j) * kDepth + k % kDepth] = w;
            start -= kOffset * w;
          }
          std::memcpy(scales + j * 4, matrix.scales + column + j, 4);
          std::memcpy(scales + N * kVector + j * 4, &start, 4);
        }
      }
  }

  // For `count` rows from the first one: sums[row, First + n] += their product with the weights of one panel.
  BIRNN_ALONE void multiply(long panel, long count, const WholeRows& rows, long first, float* sums) const {
    if (count > 2 && has_tiles()) return multiply_by_tiles(panel, count, rows, first, sums);
    for (long tiles = (count + kRowsOfBytes - 1) / kRowsOfBytes; tiles > 0; tiles--) {
      const long of_tile = (count + tiles - 1) / tiles;
      const auto run = [&](auto tile, long begin) { multiply(tile, panel, rows, begin, sums); };
      call_with_tile<kRowsOfBytes>(of_tile, first, run);
      count -= of_tile, first += of_tile, sums += of_tile * kPanel;
    }
  }

  // For a single row, whose sums stay in registers.
  BIRNN_INLINE void multiply(long panel, One, const WholeRows& rows, long first, float* sums) const {
    multiply(Tile<1>(), panel, rows, first, sums);
  }

 private:
  void multiply_by_tiles(long panel, long count, const WholeRows& rows, long first, float* sums) const {
    const std::int8_t* weights = packed_ + panel * of_panel(rows_);
    alignas(64) std::int32_t totals[kRowsOfTile][N * kWidth];
    for (; count > 0; count -= kRowsOfTile, first += kRowsOfTile, sums += kRowsOfTile * kPanel) {
      multiply_tiles<N>(totals, rows, first, weights, round_up(rows_, kBlock));
      for (long r = 0; r < smaller(kRowsOfTile, count); r++)
        for (int n = 0; n < N; n++) {
          Ints total;
          std::memcpy(&total, totals[r] + n * kWidth, kVector);
          add(panel, n, rows.scale(first + r), total + load_start(panel, n), sums + r * kPanel);
        }
    }
  }

  template <int R>
  BIRNN_INLINE void multiply(Tile<R>, long panel, const WholeRows& rows, long first, float* sums) const {
    Ints totals[R][N];
    for (int r = 0; r < R; r++)
      for (int n = 0; n < N; n++) totals[r][n] = load_start(panel, n);
    multiply_whole(totals, rows, first, packed_ + panel * of_panel(rows_), round_up(rows_, kBlock));
    for (int r = 0; r < R; r++)
      for (int n = 0; n < N; n++) add(panel, n, rows.scale(first + r), totals[r][n], sums + r * kPanel);
  }

  BIRNN_INLINE Ints load_start(long panel, int n) const {
    Ints start;
    std::memcpy(&start, scales(panel) + (N + n) * kVector, kVector);
    return start;
  }

  // To the sum of vector n of a row.
  BIRNN_INLINE void add(long panel, int n, float scale_of_row, Ints total, float* sums) const {
    Vec scale;
    std::memcpy(&scale, scales(panel) + n * kVector, kVector);
    float* sum = sums + (First + n) * kWidth;
    store(sum, load(sum) + __builtin_convertvector(total, Vec) * (scale * scale_of_row));
  }

  const std::int8_t* scales(long panel) const { return packed_ + panel * of_panel(rows_) + of_weights(rows_); }

  static constexpr long kVector = sizeof(Vec);
  static long of_weights(long rows) { return round_up(rows, kBlock) * N * kWidth; }
  // In whole lines of the cache.
  static long of_panel(long rows) { return round_up(of_weights(rows) + 2 * N * kVector, 64); }

  const long rows_;
  const Array<std::int8_t> own_;
  const std::int8_t* const packed_;
};

}  // namespace birnn::BIRNN_ISA
