// Vectors of floats by the extensions of GCC and Clang, as wide as the instruction set has them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BIRNN_WIDTH 16
#define BIRNN_REGISTERS 32
#elif defined(__AVX2__) && defined(__FMA__)
#define BIRNN_WIDTH 8
#define BIRNN_REGISTERS 16
#elif defined(__aarch64__)
#define BIRNN_WIDTH 4
#define BIRNN_REGISTERS 32
#else
#define BIRNN_WIDTH 4
#define BIRNN_REGISTERS 16
#endif

#define BIRNN_INLINE __attribute__((always_inline)) inline

namespace birnn::BIRNN_ISA {

constexpr long kWidth = BIRNN_WIDTH;
// Hidden units are worked on in panels: a row has this many vectors of sums there, see cells.h.
constexpr int kSums = 4;
constexpr long kPanel = kSums * kWidth;
// A register tile: its sums, a vector of weights for each column and one broadcast input fill the 32 (AVX-512,
// NEON) or 16 registers. With 16 the kSums vectors of a row are worked on in parts of two, so that as few weights
// are read for a sum as with 32; fewer rows have all kSums in one tile.
constexpr int kTileRows = 6, kPart = BIRNN_REGISTERS == 32 ? kSums : 2;
constexpr int kFewRows = kTileRows * kPart / kSums;

typedef float Vec __attribute__((vector_size(4 * BIRNN_WIDTH)));
typedef std::int32_t Ints __attribute__((vector_size(4 * BIRNN_WIDTH)));
typedef std::uint32_t Words __attribute__((vector_size(4 * BIRNN_WIDTH)));
typedef std::uint8_t Bytes __attribute__((vector_size(BIRNN_WIDTH)));

BIRNN_INLINE long smaller(long a, long b) { return a < b ? a : b; }
BIRNN_INLINE long larger(long a, long b) { return a > b ? a : b; }

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

// All bits of an element where the flag is set, none where it is not or beyond `size`.
BIRNN_INLINE Ints load_flags(const bool* p, long size) {
  Bytes v{};
  if (size >= kWidth)
    std::memcpy(&v, p, sizeof v);
  else if (size > 0)
    std::memcpy(&v, p, size);
  return __builtin_convertvector(v, Ints) != 0;
}

BIRNN_INLINE void store_flags(bool* p, Ints flags, long size) {
  const Bytes v = __builtin_convertvector(flags & 1, Bytes);
  if (size >= kWidth)
    std::memcpy(p, &v, sizeof v);
  else if (size > 0)
    std::memcpy(p, &v, size);
}

BIRNN_INLINE Vec select(Ints where, Vec a, Vec b) { return where ? a : b; }

BIRNN_INLINE long round_up(long size, long to) { return (size + to - 1) / to * to; }

BIRNN_INLINE Vec bits_to_floats(Ints v) { return (Vec)v; }

#if defined(__AVX512F__)
// All elements: without a mask GCC 12 warns of its own headers.
constexpr __mmask16 kAll = 0xffff;
#endif

// The larger one; x if x is NaN. In one instruction, which the comparison is not.
BIRNN_INLINE Vec at_least(Vec bound, Vec x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_max_ps(kAll, (__m512)bound, (__m512)x);
#elif defined(__AVX__)
  return (Vec)_mm256_max_ps((__m256)bound, (__m256)x);
#else
  return bound > x ? bound : x;
#endif
}

BIRNN_INLINE Vec at_most(Vec bound, Vec x) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_min_ps(kAll, (__m512)bound, (__m512)x);
#elif defined(__AVX__)
  return (Vec)_mm256_min_ps((__m256)bound, (__m256)x);
#else
  return bound < x ? bound : x;
#endif
}

// x 2^n for whole numbers n; with the rounding of denormal results.
BIRNN_INLINE Vec scale(Vec x, Vec n) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_scalef_ps(kAll, (__m512)x, (__m512)n);
#else
  // In two factors: 2^n itself may be too small for a normal float.
  const Ints whole = __builtin_convertvector(n, Ints), half = whole >> 1;
  return x * bits_to_floats((half + 127) << 23) * bits_to_floats((whole - half + 127) << 23);
#endif
}

}  // namespace birnn::BIRNN_ISA
