// The same products for many rows, by the tile registers of a processor that has them (AMX): 16 rows of 64 bytes each.
#pragma once

#include "whole_numbers.h"

#if defined(__AVX512VNNI__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace birnn::BIRNN_ISA {

#if defined(__AVX512VNNI__) && defined(__linux__)

// Whether the processor has tiles, and the system lets this process use them.
inline bool find_tiles() {
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return __builtin_cpu_supports("amx-int8") && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

// What tiles there are: sums of 16 rows in 0 to 3, rows in 4 and weights in 5, and in 6 and 7 those of the features
// that do not fill 64 bytes.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start = 0, none[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 0, 0};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 0, 0};

  explicit TileShapes(long rest) {
    if (rest == 0) return;
    bytes[6] = rest, rows[6] = 16;
    bytes[7] = 64, rows[7] = rest / kDepth;
  }
};

// The numbers of tiles are part of an instruction: these are no functions for that reason.
#define BIRNN_MULTIPLY_TILE(n, row, weight)                          \
  if constexpr (N > n) {                                             \
    _tile_loadd(weight, weights + n * kTileWidth, N * kTileWidth);   \
    _tile_dpbusd(n, row, weight);                                    \
  }
#define BIRNN_MULTIPLY_TILES(row, weight) \
  _tile_loadd(row, x, rows.stride());     \
  BIRNN_MULTIPLY_TILE(0, row, weight)     \
  BIRNN_MULTIPLY_TILE(1, row, weight)     \
  BIRNN_MULTIPLY_TILE(2, row, weight)     \
  BIRNN_MULTIPLY_TILE(3, row, weight)
#define BIRNN_STORE_TILE(n) \
  if constexpr (N > n) _tile_stored(n, totals[0] + n * kWidth, N * kTileWidth)

// totals[r][n] = sum over `size` features of row first + r and the weights of vector n, packed as in multiply_whole.
// All kRowsOfTile rows are read: their memory must be there.
template <int N>
__attribute__((noinline, target("amx-tile,amx-int8"))) void multiply_tiles(
    std::int32_t (&totals)[kRowsOfTile][N * kWidth], const WholeRows& rows, long first,
    const std::int8_t* weights, long size) {
  static_assert(N <= 4);
  constexpr long kTileWidth = 64;
  const TileShapes shapes(size % kTileWidth);
  const Short* x = rows.row(first);
  // The compiler does not see what these instructions read and write.
  asm volatile("" ::: "memory");
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (; size >= kTileWidth; size -= kTileWidth, x += kTileWidth) {
    BIRNN_MULTIPLY_TILES(4, 5)
    weights += kTileWidth / kDepth * N * kTileWidth;
  }
  if (size > 0) {
    BIRNN_MULTIPLY_TILES(6, 7)
  }
  BIRNN_STORE_TILE(0);
  BIRNN_STORE_TILE(1);
  BIRNN_STORE_TILE(2);
  BIRNN_STORE_TILE(3);
  _tile_release();
  asm volatile("" ::: "memory");
}

#else

inline bool find_tiles() { return false; }

template <int N>
void multiply_tiles(std::int32_t (&)[kRowsOfTile][N * kWidth], const WholeRows&, long, const std::int8_t*, long) {}

#endif

// May be set to false, to test what happens without them.
inline bool& has_tiles() {
  static bool are_there = find_tiles();
  return are_there;
}

}  // namespace birnn::BIRNN_ISA
