// The one inner loop: a tile of sums in registers, R rows of N vectors, plus A times B.
#pragma once

#include "vector.h"

namespace birnn::BIRNN_ISA {

// A by rows, wherever they are: element k of row r, of the part that begins `from` there.
template <int R>
struct ByRows {
  const Scalar* rows[R];
  BIRNN_INLINE Scalar operator()(int r, long k) const { return rows[r][k]; }
};

template <int R>
BIRNN_INLINE ByRows<R> by_rows(const Scalar* const* rows, long from) {
  ByRows<R> a;
  for (int r = 0; r < R; r++) a.rows[r] = rows[r] + from;
  return a;
}

// A by rows that follow one another.
template <int Stride>
struct Stacked {
  const Scalar* first;
  BIRNN_INLINE Scalar operator()(int r, long k) const { return first[r * Stride + k]; }
};

// A by columns: neighbours in each of the rows of a matrix, for the transposed product.
struct ByColumns {
  const Scalar* first;
  long stride;
  BIRNN_INLINE Scalar operator()(int r, long k) const { return first[k * stride + r]; }
};

// B of so many rows packed for products: in parts of kPart vectors, the last of which may have fewer. Row k here
// is row from + k there.
template <int N>
struct Packed {
  const Scalar* first;
  long rows, from;
  BIRNN_INLINE const Scalar* operator()(long k, int n) const {
    const int part = n / kPart, size = N - part * kPart < kPart ? N - part * kPart : kPart;
    return first + (part * kPart * rows + (from + k) * size + n % kPart) * kWidth;
  }
};

// B where its rows are, of `Stride` floats, one after another.
template <int Stride>
struct Dense {
  const Scalar* first;
  BIRNN_INLINE const Scalar* operator()(long k, int n) const {
    return first + k * Stride + n * kWidth;
  }
};

// B where it stands in a matrix: vector n of row k.
template <int N>
struct InPlace {
  const Scalar* first[N];
  long stride;
  BIRNN_INLINE const Scalar* operator()(long k, int n) const { return first[n] + k * stride; }
};

// The sums: where the first vector of row r is.
template <int Stride>
struct SumsByStride {
  Scalar* first;
  BIRNN_INLINE Scalar* operator()(int r) const { return first + r * Stride; }
};

struct SumsByRows {
  Scalar* const* rows;
  BIRNN_INLINE Scalar* operator()(int r) const { return rows[r]; }
};

// One block of A or B.
template <class T>
struct Once {
  T value;
  BIRNN_INLINE T operator()(long) const { return value; }
};

// Rows of sums in a tile, and some of their vectors: from number First on, N of them.
template <int R>
struct Tile {
  static constexpr int kRows = R;
};

template <int First, int N>
struct Part {
  static constexpr int kFirst = First, kSize = N;
};

// Vector n of row r, if it is in the part: plus the sum over k and blocks of a(r, k) times the vector at b(k, n),
// where a and b of a block are as(block) and bs(block).
template <int R, int First, int N, class Sums, class As, class Bs>
BIRNN_INLINE void multiply_inline(Sums sums, As as, Bs bs, long size, long blocks) {
  // Loops over sums are unrolled early, and the others turn at least once: else GCC keeps sums in memory as well, and a
  // tile loads and stores each of them three times.
  if (size <= 0 || blocks <= 0) return;
  // A sum waits for its last addition: with few sums in flight, even and odd k have their own.
  constexpr int kSets = R * N >= 8 ? 1 : R * N >= 4 ? 2 : 4;
  Vec sets[kSets][R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int n = 0; n < N; n++) {
      sets[0][r][n] = load(sums(r) + (First + n) * kWidth);
#pragma GCC unroll 8
      for (int s = 1; s < kSets; s++) sets[s][r][n] = Vec{};
    }
  long block = 0;
  do {
    const auto a = as(block);
    const auto b = bs(block);
    const auto add = [&](int s, long k) BIRNN_LAMBDA {
      Vec w[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; n++) w[n] = load(b(k, First + n));
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Vec x = broadcast(a(r, k));
#pragma GCC unroll 8
        for (int n = 0; n < N; n++) sets[s][r][n] += x * w[n];
      }
    };
    long k = 0;
    if constexpr (kSets == 1) {
      do add(0, k);
      while (++k < size);
    } else {
      for (; k + kSets <= size; k += kSets)
#pragma GCC unroll 8
        for (int s = 0; s < kSets; s++) add(s, k + s);
      for (; k < size; k++) add(0, k);
    }
  } while (++block < blocks);
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int n = 0; n < N; n++) {
#pragma GCC unroll 8
      for (int s = 1; s < kSets; s++) sets[0][r][n] += sets[s][r][n];
      store(sums(r) + (First + n) * kWidth, sets[0][r][n]);
    }
}

template <int R, int First, int N, class Sums, class As, class Bs>
BIRNN_ALONE void multiply_alone(Sums sums, As as, Bs bs, long size, long blocks) {
  multiply_inline<R, First, N>(sums, as, bs, size, blocks);
}

// Large tiles are functions of their own: inside larger ones GCC spills sums in the loop.
template <int R, int First, int N, class Sums, class As, class Bs>
BIRNN_INLINE void multiply_add(Tile<R>, Part<First, N>, Sums sums, As as, Bs bs, long size,
                               long blocks) {
  if constexpr (R > 3)
    multiply_alone<R, First, N>(sums, as, bs, size, blocks);
  else
    multiply_inline<R, First, N>(sums, as, bs, size, blocks);
}

// Calls function(Part) for N vectors of so many rows, in as many parts as registers ask for.
template <int N, class F>
BIRNN_INLINE void for_parts(bool are_few, F function) {
  if constexpr (N > kPart) {
    if (!are_few) {
      function(Part<0, kPart>());
      function(Part<kPart, N - kPart>());
      return;
    }
  }
  function(Part<0, N>());
}

// The number of a single row, as a constant.
using One = std::integral_constant<long, 1>;

// How many tiles so many rows make.
BIRNN_INLINE long count_tiles(long rows) { return (rows + kTileRows - 1) / kTileRows; }

template <int R, class F>
BIRNN_INLINE void call_with_tile(long rows, long begin, F& function) {
  if (rows == R)
    function(Tile<R>(), begin);
  else if constexpr (R > 1)
    call_with_tile<R - 1>(rows, begin, function);
}

// Calls function(Tile<R>, first) for tiles of at most kTileRows rows, as even as can be. Fewer if they have so many
// vectors that those would not fit into the registers: then there are no more rows.
template <int N = 0, class F>
BIRNN_INLINE void for_tiles(long begin, long end, F function) {
  for (long tiles = count_tiles(end - begin); tiles > 0; tiles--) {
    const long rows = (end - begin + tiles - 1) / tiles;
    call_with_tile<(N > kPart ? kFewRows : kTileRows)>(rows, begin, function);
    begin += rows;
  }
}

}  // namespace birnn::BIRNN_ISA
