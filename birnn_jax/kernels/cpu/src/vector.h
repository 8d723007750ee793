// Vectors of numbers by the extensions of GCC and Clang, as wide as the instruction set has them.
//
// Everything is compiled once for float and once for double, each time into a namespace of its own.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "layer.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BIRNN_BYTES 64
#define BIRNN_REGISTERS 32
#elif defined(__AVX2__) && defined(__FMA__)
#define BIRNN_BYTES 32
#define BIRNN_REGISTERS 16
#elif defined(__aarch64__)
#define BIRNN_BYTES 16
#define BIRNN_REGISTERS 32
#else
#define BIRNN_BYTES 16
#define BIRNN_REGISTERS 16
#endif

#ifndef BIRNN_SCALAR
#define BIRNN_SCALAR float
#endif

#define BIRNN_INLINE __attribute__((always_inline)) inline
// The same for a lambda, after its parameters.
#define BIRNN_LAMBDA __attribute__((always_inline))
// A function of its own: compiled once for all cells, and out of larger ones, where GCC spills registers.
#define BIRNN_ALONE __attribute__((noinline))

namespace birnn::BIRNN_ISA {

using Scalar = BIRNN_SCALAR;
constexpr bool kIsDouble = sizeof(Scalar) == 8;

using Layer = birnn::Layer<Scalar>;
using Outputs = birnn::Outputs<Scalar>;
using Cotangents = birnn::Cotangents<Scalar>;
using Gradients = birnn::Gradients<Scalar>;
using CellKernels = birnn::CellKernels<Scalar>;
using Linear = birnn::Linear<Scalar>;
using LinearBack = birnn::LinearBack<Scalar>;

constexpr long kWidth = BIRNN_BYTES / sizeof(Scalar);
// Hidden units are worked on in panels: a row has this many vectors of sums there, see cells.h.
constexpr int kSums = 4;
constexpr long kPanel = kSums * kWidth;
// A register tile: its sums, a vector of weights for each column and one broadcast input fill the 32 (AVX-512,
// NEON) or 16 registers. With 16 the kSums vectors of a row are worked on in parts of two, so that as few weights
// are read for a sum as with 32; fewer rows have all kSums in one tile.
constexpr int kTileRows = 6, kPart = BIRNN_REGISTERS == 32 ? kSums : 2;
constexpr int kFewRows = kTileRows * kPart / kSums;

// Whole numbers of as many bits.
using Int = std::conditional_t<kIsDouble, std::int64_t, std::int32_t>;

typedef Scalar Vec __attribute__((vector_size(BIRNN_BYTES)));
typedef Int Ints __attribute__((vector_size(BIRNN_BYTES)));
typedef std::uint32_t Words __attribute__((vector_size(4 * kWidth)));
typedef std::uint8_t Bytes __attribute__((vector_size(kWidth)));

BIRNN_INLINE long smaller(long a, long b) { return a < b ? a : b; }
BIRNN_INLINE long larger(long a, long b) { return a > b ? a : b; }

BIRNN_INLINE Vec broadcast(Scalar x) { return x - Vec{}; }

// A product as it is rounded by itself: compilers would fuse it with a subtraction that follows, and
// a difference of equal products is then the error of their rounding, and not zero.
BIRNN_INLINE Vec rounded(Vec product) {
#if defined(__x86_64__)
  asm("" : "+x"(product));
#elif defined(__aarch64__)
  asm("" : "+w"(product));
#endif
  return product;
}

BIRNN_INLINE Vec load(const Scalar* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

BIRNN_INLINE void store(Scalar* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// The first `size` elements, if there are not enough for a whole vector; the others are zero.
BIRNN_INLINE Vec load(const Scalar* p, long size) {
  if (size >= kWidth) return load(p);
  Vec v{};
  if (size > 0) std::memcpy(&v, p, size * sizeof(Scalar));
  return v;
}

BIRNN_INLINE void store(Scalar* p, Vec v, long size) {
  if (size >= kWidth) return store(p, v);
  if (size > 0) std::memcpy(p, &v, size * sizeof(Scalar));
}

// As whole numbers. The compiler takes bytes apart one by one.
BIRNN_INLINE Ints widen(Bytes bytes) {
#if defined(__AVX2__)
  __m128i v{};
  std::memcpy(&v, &bytes, sizeof bytes);
#if defined(__AVX512F__)
  if (kIsDouble) return (Ints)_mm512_maskz_cvtepu8_epi64(0xff, v);
  return (Ints)_mm512_maskz_cvtepu8_epi32(0xffff, v);
#else
  return kIsDouble ? (Ints)_mm256_cvtepu8_epi64(v) : (Ints)_mm256_cvtepu8_epi32(v);
#endif
#else
  return __builtin_convertvector(bytes, Ints);
#endif
}

// All bits of an element where the flag is set, none where it is not or beyond `size`.
BIRNN_INLINE Ints load_flags(const bool* p, long size) {
  Bytes v{};
  if (size >= kWidth)
    std::memcpy(&v, p, sizeof v);
  else if (size > 0)
    std::memcpy(&v, p, size);
  return widen(v) != 0;
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

#if defined(__AVX512F__)
// All elements: without a mask GCC 12 warns of its own headers.
constexpr __mmask16 kAll = 0xffff;
#endif

// The larger one; x if x is NaN. In one instruction, which the comparison is not.
BIRNN_INLINE Vec at_least(Vec bound, Vec x) {
#if defined(__AVX512F__)
  if (kIsDouble) return (Vec)_mm512_maskz_max_pd(0xff, (__m512d)bound, (__m512d)x);
  return (Vec)_mm512_maskz_max_ps(kAll, (__m512)bound, (__m512)x);
#elif defined(__AVX__)
  if (kIsDouble) return (Vec)_mm256_max_pd((__m256d)bound, (__m256d)x);
  return (Vec)_mm256_max_ps((__m256)bound, (__m256)x);
#else
  return bound > x ? bound : x;
#endif
}

BIRNN_INLINE Vec at_most(Vec bound, Vec x) {
#if defined(__AVX512F__)
  if (kIsDouble) return (Vec)_mm512_maskz_min_pd(0xff, (__m512d)bound, (__m512d)x);
  return (Vec)_mm512_maskz_min_ps(kAll, (__m512)bound, (__m512)x);
#elif defined(__AVX__)
  if (kIsDouble) return (Vec)_mm256_min_pd((__m256d)bound, (__m256d)x);
  return (Vec)_mm256_min_ps((__m256)bound, (__m256)x);
#else
  return bound < x ? bound : x;
#endif
}

// A number that is added to this one, 1.5 times a power of two, is rounded to a whole one, and has that in its last
// bits.
constexpr Scalar kShifter = kIsDouble ? Scalar(6755399441055744.0) : Scalar(12582912.0);

// x 2^n for whole numbers n; with the rounding of denormal results.
BIRNN_INLINE Vec scale(Vec x, Vec n) {
#if defined(__AVX512F__)
  if (kIsDouble) return (Vec)_mm512_maskz_scalef_pd(0xff, (__m512d)x, (__m512d)n);
  return (Vec)_mm512_maskz_scalef_ps(kAll, (__m512)x, (__m512)n);
#else
  // In two factors: 2^n itself may be too small for a normal number.
  constexpr Int bias = kIsDouble ? 1023 : 127, mantissa = kIsDouble ? 52 : 23;
  const Ints whole = (Ints)(n + kShifter) - (Ints)broadcast(kShifter), half = whole >> 1;
  return x * (Vec)((half + bias) << mantissa) * (Vec)((whole - half + bias) << mantissa);
#endif
}

}  // namespace birnn::BIRNN_ISA
