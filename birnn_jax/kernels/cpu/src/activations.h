// tanh and sigmoid, within 4 ulp of the exact value everywhere; NaN stays NaN, results too small
// for normal floats are denormal floats, tanh(-0) is -0.
#pragma once

#include "vector.h"

namespace birnn::BIRNN_ISA {

// exp(x) = 2^n exp(r), n = round(x / ln 2): exp(r) and n.
BIRNN_INLINE Vec exp_parts(Vec x, Ints& n) {
  const float shifter = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to an integer
  const Vec rounded = x * 1.44269504f + shifter;
  n = floats_to_bits(rounded) - floats_to_bits(broadcast(shifter));
  const Vec whole = rounded - shifter;
  // ln 2 in two parts, the first of so few bits that its product is exact.
  const Vec r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
  Vec p = r * 1.3814488e-3f + 8.3687809e-3f;
  p = p * r + 4.1668394e-2f;
  p = p * r + 1.6666520e-1f;
  p = p * r + 4.9999993e-1f;
  return r * r * p + r + 1;
}

BIRNN_INLINE Vec power_of_two(Ints n) { return bits_to_floats((n + 127) << 23); }

BIRNN_INLINE Vec sigmoid(Vec x) {
  const Vec magnitude = absolute(x);
  const Vec most = broadcast(104.0f);  // exp(-104) rounds to zero
  Ints n;
  Vec e = exp_parts(-(magnitude > most ? most : magnitude), n);
  // In two factors: 2^n itself may be too small for a normal float.
  const Ints half = n >> 1;
  e = e * power_of_two(half) * power_of_two(n - half);
  return (x < 0 ? e : broadcast(1)) / (1 + e);
}

BIRNN_INLINE Vec tanh(Vec x) {
  const Vec magnitude = absolute(x);
  const Vec most = broadcast(10.0f);  // tanh(10) rounds to one
  Ints n;
  Vec e = exp_parts(-2 * (magnitude > most ? most : magnitude), n);
  e *= power_of_two(n);
  const Vec large = with_sign((1 - e) / (1 + e), x);
  // Near zero the difference 1 - e has lost its digits.
  const Vec y = x * x;
  Vec p = y * -5.8951639e-3f + 2.0795977e-2f;
  p = p * y - 5.3783832e-2f;
  p = p * y + 1.3331924e-1f;
  p = p * y - 3.3333298e-1f;
  const Vec small = x * y * p + x;
  return magnitude < 0.6f ? small : large;
}

}  // namespace birnn::BIRNN_ISA
