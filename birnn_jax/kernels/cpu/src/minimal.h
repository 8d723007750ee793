// minGRU and minLSTM, whose gates see the input only, in the terms of cells.h.
#pragma once

#include "cells.h"

namespace birnn::BIRNN_ISA {

// What they make of the sum of the candidate, and the slope of that.
struct Positive {
  Vec value, slope;
  BIRNN_INLINE explicit Positive(Vec a) {
    const Vec s = sigmoid(a);
    value = select(a >= 0, a + Scalar(0.5), s);
    slope = select(a >= 0, broadcast(1), s * (1 - s));
  }
};

// Sums z, n of two times kWidth units. Stored z and the sum of n.
struct MinGru : PlainCell {
  static constexpr int kGates = 2, kStored = 2;
  static constexpr bool kHasC = false;
  static constexpr Layout kLayout{2, {0, 0, 1, 1}};
  static constexpr int kXFirst = 0, kX = kSums, kHFirst = 0, kH = 0, kCount = kSums;

  BIRNN_INLINE static void step(const Vec* sums, const Beside&, Vec* stored, Unit& unit) {
    const Vec z = sigmoid(sums[0]);
    unit.h = (1 - z) * unit.h + z * Positive(sums[1]).value;
    stored[0] = z, stored[1] = sums[1];
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside&, Unit& d_unit,
                                     Back& back) {
    const Vec z = stored[0];
    const Positive n(stored[1]);
    back.d_sums[0] = d_unit.h * (n.value - before.h) * z * (1 - z);
    back.d_sums[1] = d_unit.h * z * n.slope;
    d_unit.h *= 1 - z;
  }
};

// Sums and stored: i, f, n.
struct MinLstm : OneProduct<3, 3, false> {
  static constexpr int kH = 0;

  // The sigmoids of both sums over the sum of the two: 1 + exp(-a_f) for i and 1 + exp(-a_i) for f over the sum of
  // these, and all of them times exp(least), so that none is too large.
  struct Shares {
    Vec i, f;
    Vec closed_i, closed_f;  // sigmoids of -a_i, -a_f
    BIRNN_INLINE Shares(Vec a_i, Vec a_f) {
      const Vec least = at_most(at_most(Vec{}, a_i), a_f);
      const Vec all = exp(least), of_i = exp(least - a_i), of_f = exp(least - a_f);
      const Vec for_i = all + of_f, for_f = all + of_i, total = for_i + for_f;
      i = for_i / total, f = for_f / total;
      closed_i = of_i / for_f, closed_f = of_f / for_i;
    }
  };

  BIRNN_INLINE static void step(const Vec* sums, const Beside&, Vec* stored, Unit& unit) {
    const Shares shares(sums[0], sums[1]);
    unit.h = shares.f * unit.h + shares.i * Positive(sums[2]).value;
    for (int n = 0; n < 3; n++) stored[n] = sums[n];
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside&, Unit& d_unit,
                                     Back& back) {
    const Shares shares(stored[0], stored[1]);
    const Positive n(stored[2]);
    // By log(f / i).
    const Vec d_ratio = d_unit.h * (before.h - n.value) * shares.f * shares.i;
    back.d_sums[0] = -d_ratio * shares.closed_i;
    back.d_sums[1] = d_ratio * shares.closed_f;
    back.d_sums[2] = d_unit.h * shares.i * n.slope;
    d_unit.h *= shares.f;
  }
};

}  // namespace birnn::BIRNN_ISA
