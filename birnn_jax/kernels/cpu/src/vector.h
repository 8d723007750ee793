// Vectors of floats by the extensions of GCC and Clang, as wide as the instruction set has them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#define BIRNN_WIDTH 16
#define BIRNN_TILE_ROWS 6
#elif defined(__AVX2__) && defined(__FMA__)
#define BIRNN_WIDTH 8
#define BIRNN_TILE_ROWS 3
#elif defined(__aarch64__)
#define BIRNN_WIDTH 4
#define BIRNN_TILE_ROWS 6
#else
#define BIRNN_WIDTH 4
#define BIRNN_TILE_ROWS 3
#endif

#define BIRNN_INLINE __attribute__((always_inline)) inline

namespace birnn::BIRNN_ISA {

constexpr long kWidth = BIRNN_WIDTH;
// Rows of a register tile of four vectors a row: its sums, four vectors of weights and one
// broadcast input fill the 32 (AVX-512, NEON) or 16 registers.
constexpr int kTileRows = BIRNN_TILE_ROWS;

typedef float Vec __attribute__((vector_size(4 * BIRNN_WIDTH)));
typedef std::int32_t Ints __attribute__((vector_size(4 * BIRNN_WIDTH)));

BIRNN_INLINE Vec broadcast(float x) { return x - Vec{}; }

BIRNN_INLINE Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

BIRNN_INLINE void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// The first `size` elements, if there are not enough for a whole vector; the others are zero.
BIRNN_INLINE Vec load(const float* p, long size) {
  if (size >= kWidth) return load(p);
  Vec v{};
  if (size > 0) std::memcpy(&v, p, size * sizeof(float));
  return v;
}

BIRNN_INLINE void store(float* p, Vec v, long size) {
  if (size >= kWidth) return store(p, v);
  if (size > 0) std::memcpy(p, &v, size * sizeof(float));
}

BIRNN_INLINE Vec bits_to_floats(Ints v) { return (Vec)v; }
BIRNN_INLINE Ints floats_to_bits(Vec v) { return (Ints)v; }

BIRNN_INLINE Vec absolute(Vec x) { return bits_to_floats(floats_to_bits(x) & 0x7fffffff); }

// |x| with the sign of `sign`.
BIRNN_INLINE Vec with_sign(Vec x, Vec sign) {
  return bits_to_floats(floats_to_bits(x) | (floats_to_bits(sign) & (std::int32_t)0x80000000));
}

}  // namespace birnn::BIRNN_ISA
