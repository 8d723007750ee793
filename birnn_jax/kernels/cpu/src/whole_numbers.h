// Products of whole numbers: weights of 8 bits, and rows of 8 bits with a scale for each row.
//
// A row x becomes q = round(x / scale) with scale = max |x| / kLevels. Sums of q w over kMostFeatures
// weights fit into 32 bits, without saturation on the way. A row without a number of kSmallest is zero.
#pragma once

#include "memory.h"
#include "vector.h"

namespace birnn::BIRNN_ISA {

constexpr int kLevels = 127;
constexpr float kSmallest = 1e-30f;
constexpr long kMostFeatures = 65536;  // 255 * 127 * 65536 < 2^31

// How a number of a row is kept, and how many of them, of one column, stand together in packed weights; rows
// at most that are multiplied together.
#if defined(__AVX512VNNI__)
using Short = std::uint8_t;  // q + kOffset
constexpr int kDepth = 4, kOffset = 128, kRowsOfBytes = 6;
#elif defined(__AVX2__) && !defined(__AVX512F__)
using Short = std::int8_t;
constexpr int kDepth = 4, kOffset = 0, kRowsOfBytes = 2;
#else
using Short = std::int16_t;
constexpr int kDepth = 2, kOffset = 0, kRowsOfBytes = 1;
#endif
// Memory of rows is of a multiple of so many.
constexpr long kRowsOfTile = 16;
// Rows and columns are filled up to a multiple of so many features.
constexpr int kBlock = 16;

// The largest element: halves against each other.
BIRNN_INLINE std::int32_t find_most(Ints x) {
  std::int32_t all[kWidth];
  std::memcpy(all, &x, sizeof x);
#pragma GCC unroll 4
  for (long half = kWidth / 2; half > 0; half /= 2)
    for (long k = 0; k < half; k++) all[k] = all[k] > all[k + half] ? all[k] : all[k + half];
  return all[0];
}

// `count` rows of the same size, read one by one.
class WholeRows {
 public:
  WholeRows(long count, long size)
      : size_(size), stride_(round_up(size, 64)), scales_(count), whole_(round_up(count, kRowsOfTile) * stride_) {}

  // What each of its numbers stands for.
  float scale(long k) const { return scales_[k]; }
  const Short* row(long k) const { return whole_ + k * stride_; }
  long stride() const { return stride_; }  // from one row to the next

  void read(long k, const float* row) {
    // Without their signs, floats have the order of the whole numbers of the same bits; NaN is the largest.
    Ints most{};
    for (long n = 0; n < size_; n += kWidth) {
      const Ints x = (Ints)load(row + n, size_ - n) & 0x7fffffff;
      most = x > most ? x : most;
    }
    const std::int32_t bits = find_most(most);
    float max;
    std::memcpy(&max, &bits, sizeof max);
    scales_[k] = max / kLevels;
    const float inverse = max < kSmallest ? 0 : kLevels / max;
    Short* out = whole_ + k * stride_;
    for (long n = 0; n < round_up(size_, kBlock); n += kWidth)
      put(out + n, load(row + n, size_ - n) * inverse);
  }

 private:
  BIRNN_INLINE static void put(Short* out, Vec x) {
#if defined(__AVX512VNNI__)
    const Ints q = (Ints)_mm512_maskz_cvtps_epi32(kAll, (__m512)x) + kOffset;
    const __m128i bytes = _mm512_maskz_cvtepi32_epi8(kAll, (__m512i)q);
    std::memcpy(out, &bytes, sizeof bytes);
#else
    typedef Short Shorts __attribute__((vector_size(sizeof(Short) * kWidth)));
    const Vec whole = (x + kShifter) - kShifter;
    const Shorts shorts = __builtin_convertvector(__builtin_convertvector(whole, Ints) + kOffset, Shorts);
    std::memcpy(out, &shorts, sizeof shorts);
#endif
  }

  const long size_, stride_;
  const Array<float> scales_;
  const Array<Short> whole_;
};

// kDepth numbers of a row, side by side in every element.
BIRNN_INLINE Ints spread(const Short* from) {
  std::int32_t together;
  std::memcpy(&together, from, sizeof together);
  return together - Ints{};
}

// totals[r][n] += sum over `size` features of row first + r and the weights of vector n, which are packed
// as [size / kDepth][N][kWidth][kDepth].
template <int R, int N>
BIRNN_INLINE void multiply_whole(Ints (&totals)[R][N], const WholeRows& rows, long first,
                                 const std::int8_t* weights, long size) {
  constexpr long kVector = kWidth * kDepth;
  const Short* row[R];
  for (int r = 0; r < R; r++) row[r] = rows.row(first + r);
#if defined(__AVX512VNNI__)
  // A sum waits for its last addition: with few sums in flight there are several sets of them.
  constexpr int kSets = R * N >= 10 ? 1 : R * N >= 5 ? 2 : 4;
  __m512i sets[kSets][R][N];
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) {
      sets[0][r][n] = (__m512i)totals[r][n];
      for (int s = 1; s < kSets; s++) sets[s][r][n] = _mm512_setzero_si512();
    }
  for (long k = 0; k < size; k += kSets * kDepth)
#pragma GCC unroll 4
    for (int s = 0; s < kSets; s++, weights += N * kVector) {
      __m512i w[N];
      for (int n = 0; n < N; n++) w[n] = _mm512_loadu_si512(weights + n * kVector);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        const __m512i x = (__m512i)spread(row[r] + k + s * kDepth);
        for (int n = 0; n < N; n++) sets[s][r][n] = _mm512_dpbusd_epi32(sets[s][r][n], x, w[n]);
      }
    }
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) {
      Ints total = (Ints)sets[0][r][n];
      for (int s = 1; s < kSets; s++) total += (Ints)sets[s][r][n];
      totals[r][n] = total;
    }
#elif defined(__AVX2__) && !defined(__AVX512F__)
  // Products of numbers without signs with weights that have them: two of them are at most 2 * 127 * 127, which
  // is below 2^15, so nothing saturates.
  for (long k = 0; k < size; k += kDepth, weights += N * kVector) {
    __m256i x[R], size_of_x[R];
    for (int r = 0; r < R; r++) {
      x[r] = (__m256i)spread(row[r] + k);
      size_of_x[r] = _mm256_abs_epi8(x[r]);
    }
    for (int n = 0; n < N; n++) {
      const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + n * kVector));
      for (int r = 0; r < R; r++) {
        const __m256i pairs = _mm256_maddubs_epi16(size_of_x[r], _mm256_sign_epi8(w, x[r]));
        totals[r][n] += (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
      }
    }
  }
#else
  for (long k = 0; k < size; k += kDepth, weights += N * kVector)
    for (int r = 0; r < R; r++)
      for (int n = 0; n < N; n++)
        for (long j = 0; j < kWidth; j++) {
          const std::int8_t* w = weights + (n * kWidth + j) * kDepth;
          totals[r][n][j] += row[r][k] * w[0] + row[r][k + 1] * w[1];
        }
#endif
}

}  // namespace birnn::BIRNN_ISA
