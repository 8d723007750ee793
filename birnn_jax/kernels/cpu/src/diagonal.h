// The cells whose units see no state but their own, in the terms of cells.h.
#pragma once

#include "cells.h"

namespace birnn::BIRNN_ISA {

// IndRNN: the state adds to the sum its product with w[0].
struct IndRnn : OneSum {
  static constexpr int kH = 0, kDiagonals = 1;
  template <class T>  // Layer or Gradients
  static auto diagonal(const T& from, long, int) {
    return from.w_h;
  }

  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    stored[0] = unit.h = Relu::of(sums[0] + beside.w[0] * beside.h);
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit&, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    back.d_sums[0] = d_unit.h * Relu::slope(stored[0]);
    back.d_w[0] = back.d_sums[0] * beside.h;
    back.d_seen = back.d_sums[0] * beside.w[0];
    d_unit.h = Vec{};
  }
};

// Sums and stored: r, z, n, and so w.
struct ParaGru : OneProduct<3, 3, false> {
  static constexpr int kH = 0, kDiagonals = 3;
  template <class T>
  static auto diagonal(const T& from, long hidden, int n) {
    return from.w_h + n * hidden;
  }

  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec r = sigmoid(sums[0] + beside.w[0] * beside.h);
    const Vec z = sigmoid(sums[1] + beside.w[1] * beside.h);
    const Vec n = tanh(sums[2] + beside.w[2] * (r * beside.h)), part = beside.candidate * n;
    unit.h = part + z * (unit.h - part);
    stored[0] = r, stored[1] = z, stored[2] = n;
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec r = stored[0], z = stored[1], n = stored[2], part = beside.candidate * n;
    const Vec d_n = d_unit.h * (1 - z) * beside.candidate * (1 - n * n), d_reset = d_n * beside.w[2];
    back.d_sums[0] = d_reset * beside.h * r * (1 - r);
    back.d_sums[1] = d_unit.h * (before.h - part) * z * (1 - z);
    back.d_sums[2] = d_n;
    back.d_w[0] = back.d_sums[0] * beside.h;
    back.d_w[1] = back.d_sums[1] * beside.h;
    back.d_w[2] = d_n * (r * beside.h);
    back.d_seen = d_reset * r + back.d_sums[0] * beside.w[0] + back.d_sums[1] * beside.w[1];
    d_unit.h *= z;
  }
};

// Sums f, g, o; stored f, g and the sum of o with what h adds, whose gate sees the new cell state. The
// input gate is 1 - f. w: of h in f, g, o, and of c in f, o.
struct ParaLstm : OneProduct<3, 3, true> {
  static constexpr int kH = 0, kDiagonals = 5;
  template <class T>
  static auto diagonal(const T& from, long hidden, int n) {
    return n < 3 ? from.w_h + n * hidden : from.extra + (n - 3) * hidden;
  }

  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec f = sigmoid(sums[0] + beside.w[0] * beside.h + beside.w[3] * unit.c);
    const Vec g = tanh(sums[1] + beside.w[1] * beside.h), sum = sums[2] + beside.w[2] * beside.h;
    unit.c = f * unit.c + (1 - f) * (beside.candidate * g);
    unit.h = sigmoid(sum + beside.w[4] * unit.c) * tanh(unit.c);
    stored[0] = f, stored[1] = g, stored[2] = sum;
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec f = stored[0], g = stored[1], part = beside.candidate * g;
    const Vec c = f * before.c + (1 - f) * part, tanh_c = tanh(c);
    const Vec o = sigmoid(stored[2] + beside.w[4] * c);
    back.d_sums[2] = d_unit.h * tanh_c * o * (1 - o);
    const Vec d_c =
        d_unit.c + d_unit.h * o * (1 - tanh_c * tanh_c) + back.d_sums[2] * beside.w[4];
    back.d_sums[0] = d_c * (before.c - part) * f * (1 - f);
    back.d_sums[1] = d_c * (1 - f) * beside.candidate * (1 - g * g);
    for (int n = 0; n < 3; n++) back.d_w[n] = back.d_sums[n] * beside.h;
    back.d_w[3] = back.d_sums[0] * before.c;
    back.d_w[4] = back.d_sums[2] * c;
    back.d_seen = back.d_sums[0] * beside.w[0] + back.d_sums[1] * beside.w[1] +
                  back.d_sums[2] * beside.w[2];
    d_unit.c = d_c * f + back.d_sums[0] * beside.w[3];
    d_unit.h = Vec{};
  }
};

}  // namespace birnn::BIRNN_ISA
