// Products of whole numbers: weights of 8 bits, and rows of 13 bits with a scale for each row.
//
// A row x becomes q = round(x / scale) with scale = max |x| / kLevels. Sums of q w over kMostFeatures
// weights fit into 32 bits, without saturation on the way. A row without a number of kSmallest is zero.
#pragma once

#include "memory.h"
#include "vector.h"

namespace birnn::BIRNN_ISA {

constexpr int kLevels = 4095;
constexpr float kSmallest = 1e-30f;
constexpr long kMostFeatures = 4096;  // 4095 * 127 * 4096 < 2^31

#if defined(__AVX512VNNI__)
// q + kOffset in two bytes without sign, each of which is multiplied with four weights at a time.
constexpr int kDepth = 4, kOffset = 4096, kRowsOfBytes = 3;
#else
constexpr int kDepth = 2, kOffset = 0, kRowsOfBytes = kWidth == 8 ? 2 : 1;
#endif

// `count` rows of the same size, read one by one.
class WholeRows {
 public:
  WholeRows(long count, long size)
      : size_(size), stride_(round_up(size, 64)), scales_(count), whole_(count * stride_) {}

  // What each of its numbers stands for.
  float scale(long k) const { return scales_[k]; }

  void read(long k, const float* row) {
    Vec most{};
    for (long n = 0; n < size_; n += kWidth) {
      const Vec x = load(row + n, size_ - n);
      most = at_least(most, at_least(x, -x));
    }
    float max = 0;
    for (long n = 0; n < kWidth; n++) max = most[n] <= max ? max : most[n];  // NaN stays
    scales_[k] = max / kLevels;
    const float inverse = max < kSmallest ? 0 : kLevels / max;
    std::uint16_t* out = whole_ + k * stride_;
    for (long n = 0; n < round_up(size_, kDepth); n += kWidth) {
      const Vec x = (load(row + n, size_ - n) * inverse + kShifter) - kShifter;
      put(out, n, __builtin_convertvector(x, Ints) + kOffset);
    }
  }

#if defined(__AVX512VNNI__)
  // The bytes of kDepth numbers from n on, in every element: the low ones and the high ones.
  BIRNN_INLINE __m512i low(long k, long n) const { return spread(bytes(k) + n); }
  BIRNN_INLINE __m512i high(long k, long n) const { return spread(bytes(k) + stride_ + n); }

 private:
  static BIRNN_INLINE __m512i spread(const unsigned char* from) {
    int four;
    std::memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
  }
  BIRNN_INLINE const unsigned char* bytes(long k) const {
    return reinterpret_cast<const unsigned char*>(whole_ + k * stride_);
  }
  BIRNN_INLINE void put(std::uint16_t* out, long n, Ints q) const {
    unsigned char* to = reinterpret_cast<unsigned char*>(out) + n;
    const Bytes low = __builtin_convertvector(q & 255, Bytes);
    const Bytes high = __builtin_convertvector(q >> 8, Bytes);
    std::memcpy(to, &low, sizeof low);
    std::memcpy(to + stride_, &high, sizeof high);
  }
#else
  // kDepth numbers from n on.
  BIRNN_INLINE const std::int16_t* at(long k, long n) const {
    return reinterpret_cast<const std::int16_t*>(whole_ + k * stride_ + n);
  }

 private:
  BIRNN_INLINE static void put(std::uint16_t* out, long n, Ints q) {
    typedef std::int16_t Shorts __attribute__((vector_size(2 * kWidth)));
    const Shorts shorts = __builtin_convertvector(q, Shorts);
    std::memcpy(out + n, &shorts, sizeof shorts);
  }
#endif

  const long size_, stride_;
  const Array<float> scales_;
  const Array<std::uint16_t> whole_;
};

// totals[r][n] += sum over `size` features of q of row first + r and the weights of vector n, which
// are packed as [size / kDepth][N][kWidth][kDepth].
template <int R, int N>
BIRNN_INLINE void multiply_whole(Ints (&totals)[R][N], const WholeRows& rows, long first,
                                 const std::int8_t* weights, long size) {
#if defined(__AVX512VNNI__)
  __m512i low[R][N], high[R][N];
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) low[r][n] = high[r][n] = _mm512_setzero_si512();
  for (long k = 0; k < size; k += kDepth, weights += N * 64) {
    __m512i w[N];
    for (int n = 0; n < N; n++) w[n] = _mm512_loadu_si512(weights + n * 64);
#pragma GCC unroll 3
    for (int r = 0; r < R; r++) {
      const __m512i l = rows.low(first + r, k), h = rows.high(first + r, k);
      for (int n = 0; n < N; n++) {
        low[r][n] = _mm512_dpbusd_epi32(low[r][n], l, w[n]);
        high[r][n] = _mm512_dpbusd_epi32(high[r][n], h, w[n]);
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) totals[r][n] += (Ints)low[r][n] + (Ints)high[r][n] * 256;
#elif defined(__AVX2__)
  for (long k = 0; k < size; k += kDepth, weights += N * 16) {
    __m256i pairs[R];
    for (int r = 0; r < R; r++) {
      int pair;
      std::memcpy(&pair, rows.at(first + r, k), sizeof pair);
      pairs[r] = _mm256_set1_epi32(pair);
    }
    for (int n = 0; n < N; n++) {
      const __m256i w = _mm256_cvtepi8_epi16(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + n * 16)));
      for (int r = 0; r < R; r++) totals[r][n] += (Ints)_mm256_madd_epi16(w, pairs[r]);
    }
  }
#else
  for (long k = 0; k < size; k += kDepth, weights += N * kWidth * kDepth)
    for (int r = 0; r < R; r++) {
      const std::int16_t* q = rows.at(first + r, k);
      for (int n = 0; n < N; n++)
        for (long j = 0; j < kWidth; j++) {
          const std::int8_t* w = weights + (n * kWidth + j) * kDepth;
          totals[r][n][j] += q[0] * w[0] + q[1] * w[1];
        }
    }
#endif
}

}  // namespace birnn::BIRNN_ISA
