// tanh, sigmoid and their like, within 4 ulp of the exact value everywhere; NaN stays NaN, results too
// small for normal floats are denormal floats.
#pragma once

#include "vector.h"

namespace birnn::BIRNN_ISA {

// x = n ln 2 + rest
struct Reduced {
  Vec n, rest;

  BIRNN_INLINE explicit Reduced(Vec x) {
    n = (x * Scalar(1.4426950408889634) + kShifter) - kShifter;
    // ln 2 in two parts, the first of so few bits that its product is exact.
    constexpr Scalar first = Scalar(kIsDouble ? 0.69314718036912382 : 0.693359375);
    constexpr Scalar second = Scalar(kIsDouble ? 1.9082149292705877e-10 : -2.12194440e-4);
    rest = (x - n * first) - n * second;
  }

  // (exp(rest) - 1 - rest) / rest^2
  BIRNN_INLINE Vec tail() const {
    if constexpr (kIsDouble) {
      // 1 / 13!, 1 / 12!, ..., 1 / 2!
      constexpr double terms[] = {1.6059043836821613e-10, 2.08767569878681e-9,  2.505210838544172e-8,
                                  2.755731922398589e-7,   2.7557319223985893e-6, 2.48015873015873e-5,
                                  1.984126984126984e-4,   1.3888888888888889e-3, 8.333333333333333e-3,
                                  4.1666666666666664e-2,  1.6666666666666666e-1, 0.5};
      Vec p{};
      for (const double term : terms) p = p * rest + Scalar(term);
      return p;
    }
    Vec p = rest * Scalar(1.3882459e-3) + Scalar(8.3665468e-3);
    p = p * rest + Scalar(4.1667201e-2);
    p = p * rest + Scalar(1.6666543e-1);
    return p * rest + Scalar(0.5);
  }
};

// Above the range of the results about the largest of them.
BIRNN_INLINE Vec exp(Vec x) {
  // The exponential of the one rounds to zero, and that of the other is finite still.
  constexpr Scalar low = kIsDouble ? -746 : -104, high = kIsDouble ? 709 : 88;
  const Reduced r(at_least(broadcast(low), at_most(broadcast(high), x)));
  return scale((r.tail() * r.rest + 1) * r.rest + 1, r.n);
}

BIRNN_INLINE Vec sigmoid(Vec x) {
  const Vec e = exp(x);
  return e / (1 + e);
}

BIRNN_INLINE Vec log_sigmoid(Vec x) {
  const Vec e = exp(x > 0 ? -x : x), s = e / (2 + e), square = s * s;
  // log(1 + e) = 2 artanh(s), the series of the odd powers of s, which is at most 1/3.
  constexpr int kTerms = kIsDouble ? 16 : 8;
  Vec series{};
#pragma GCC unroll 16
  for (int n = kTerms; n >= 0; n--) series = series * square + Scalar(2.0 / (2 * n + 1));
  return (x > 0 ? Vec{} : x) - s * series;
}

// exp(x) - 1, with all its digits near zero.
BIRNN_INLINE Vec expm1(const Reduced& r) {
  const Vec power = scale(broadcast(1), r.n);
  return power * ((r.tail() * r.rest) * r.rest + r.rest) + (power - 1);
}

// Of x that is not positive.
BIRNN_INLINE Vec expm1(Vec x) { return expm1(Reduced(at_least(broadcast(-50), x))); }

BIRNN_INLINE Vec tanh(Vec x) {
  // By exp(2x) - 1. The tanh of the limit rounds to one.
  constexpr Scalar limit = kIsDouble ? 20 : 10;
  const Vec e = expm1(Reduced(2 * at_least(broadcast(-limit), at_most(broadcast(limit), x))));
  return e / (e + 2);
}

}  // namespace birnn::BIRNN_ISA
