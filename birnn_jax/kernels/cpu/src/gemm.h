// The one inner loop: a tile of sums in registers, R rows of N vectors, plus A times B.
#pragma once

#include "vector.h"

namespace birnn::BIRNN_ISA {

// A by rows, wherever they are: element k of row r.
template <int R>
struct ByRows {
  const float* rows[R];
  BIRNN_INLINE float operator()(int r, long k) const { return rows[r][k]; }
};

template <int R>
BIRNN_INLINE ByRows<R> by_rows(const float* const* rows) {
  ByRows<R> a;
  for (int r = 0; r < R; r++) a.rows[r] = rows[r];
  return a;
}

// A by columns: R neighbours in each of the rows of a matrix, for the transposed product.
template <int R>
struct ByColumns {
  const float* first;
  long stride;
  BIRNN_INLINE float operator()(int r, long k) const { return first[k * stride + r]; }
};

// B where its rows are packed, one after another.
template <int Stride>
struct Packed {
  const float* first;
  BIRNN_INLINE const float* operator()(long k, int n) const {
    return first + k * Stride + n * kWidth;
  }
};

// B where it stands in a matrix: vector n of row k.
template <int N>
struct InPlace {
  const float* first[N];
  long stride;
  BIRNN_INLINE const float* operator()(long k, int n) const { return first[n] + k * stride; }
};

// sums[r][First + n] += sum over k of a(r, k) times the vector at b(k, n)
template <int R, int N, int First, class A, class B>
BIRNN_INLINE void multiply_add(Vec (&sums)[R][kSums], const A& a, const B& b, long size) {
  // A sum waits for its last addition: with few sums in flight, even and odd k have their own.
  constexpr int kSets = R * N >= 8 ? 1 : R * N >= 4 ? 2 : 4;
  Vec sets[kSets][R][N];
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) {
      sets[0][r][n] = sums[r][First + n];
      for (int s = 1; s < kSets; s++) sets[s][r][n] = Vec{};
    }
  long k = 0;
  for (; k + kSets <= size; k += kSets)
#pragma GCC unroll 4
    for (int s = 0; s < kSets; s++) {
      Vec w[N];
      for (int n = 0; n < N; n++) w[n] = load(b(k + s, n));
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Vec x = broadcast(a(r, k + s));
        for (int n = 0; n < N; n++) sets[s][r][n] += x * w[n];
      }
    }
  for (; k < size; k++)
    for (int r = 0; r < R; r++) {
      const Vec x = broadcast(a(r, k));
      for (int n = 0; n < N; n++) sets[0][r][n] += x * load(b(k, n));
    }
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) {
      for (int s = 1; s < kSets; s++) sets[0][r][n] += sets[s][r][n];
      sums[r][First + n] = sets[0][r][n];
    }
}

template <int R>
struct Tile {
  static constexpr int kRows = R;
};

// How many tiles so many rows make.
BIRNN_INLINE long count_tiles(long rows) { return (rows + kTileRows - 1) / kTileRows; }

// Calls function(Tile<R>, first) for tiles of at most kTileRows rows, as even as can be.
template <class F>
BIRNN_INLINE void for_tiles(long begin, long end, F function) {
  for (long tiles = count_tiles(end - begin); tiles > 0; tiles--) {
    const long rows = (end - begin + tiles - 1) / tiles;
    switch (rows) {
      case 1: function(Tile<1>(), begin); break;
      case 2: function(Tile<2>(), begin); break;
      case 3: function(Tile<3>(), begin); break;
#if BIRNN_TILE_ROWS > 3
      case 4: function(Tile<4>(), begin); break;
      case 5: function(Tile<5>(), begin); break;
      case 6: function(Tile<6>(), begin); break;
#endif
    }
    begin += rows;
  }
}

}  // namespace birnn::BIRNN_ISA
