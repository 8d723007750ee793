// tanh and sigmoid, within 4 ulp of the exact value everywhere; NaN stays NaN, results too small
// for normal floats are denormal floats.
#pragma once

#include "vector.h"

namespace birnn::BIRNN_ISA {

// x = n ln 2 + rest
struct Reduced {
  Vec n, rest;

  BIRNN_INLINE explicit Reduced(Vec x) {
    const float shifter = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded
    n = (x * 1.44269504f + shifter) - shifter;
    // ln 2 in two parts, the first of so few bits that its product is exact.
    rest = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  }

  // (exp(rest) - 1 - rest) / rest^2
  BIRNN_INLINE Vec tail() const {
    Vec p = rest * 1.3882459e-3f + 8.3665468e-3f;
    p = p * rest + 4.1667201e-2f;
    p = p * rest + 1.6666543e-1f;
    return p * rest + 0.5f;
  }
};

BIRNN_INLINE Vec sigmoid(Vec x) {
  // exp(-104) rounds to zero, and exp(88) is finite still.
  const Reduced r(at_least(broadcast(-104), at_most(broadcast(88), x)));
  const Vec e = scale((r.tail() * r.rest + 1) * r.rest + 1, r.n);
  return e / (1 + e);
}

BIRNN_INLINE Vec tanh(Vec x) {
  // By exp(2x) - 1, which keeps its digits near zero. tanh(10) rounds to one.
  const Reduced r(2 * at_least(broadcast(-10), at_most(broadcast(10), x)));
  const Vec power = scale(broadcast(1), r.n);
  const Vec e = power * ((r.tail() * r.rest) * r.rest + r.rest) + (power - 1);
  return e / (e + 2);
}

}  // namespace birnn::BIRNN_ISA
