// The LSTMs, in the terms of cells.h.
#pragma once

#include "cells.h"

namespace birnn::BIRNN_ISA {

// Sums and stored: i, f, g, o.
struct Lstm : OneProduct<4, 4, true> {
  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec i = sigmoid(sums[0]), f = sigmoid(sums[1]), g = tanh(sums[2]), o = sigmoid(sums[3]);
    unit.c = f * unit.c + i * (beside.candidate * g);
    unit.h = o * tanh(unit.c);
    stored[0] = i, stored[1] = f, stored[2] = g, stored[3] = o;
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec i = stored[0], f = stored[1], g = stored[2], o = stored[3];
    const Vec part = beside.candidate * g, tanh_c = tanh(f * before.c + i * part);
    const Vec d_c = d_unit.c + d_unit.h * o * (1 - tanh_c * tanh_c);
    back.d_sums[0] = d_c * part * i * (1 - i);
    back.d_sums[1] = d_c * before.c * f * (1 - f);
    back.d_sums[2] = d_c * i * beside.candidate * (1 - g * g);
    back.d_sums[3] = d_unit.h * tanh_c * o * (1 - o);
    back.value = o * tanh_c;
    d_unit.c = d_c * f;
    d_unit.h = Vec{};
  }
};

// The LSTM, and h is the second product.
struct ProjectedLstm : Lstm {
  static constexpr bool kIsTwo = true, kSecondStores = false;
  static Matrix second_matrix(const Layer& layer) {
    return {layer.extra, layer.hidden, layer.states, layer.states};
  }
  static Scalar* second_gradient(const Layer&, const Gradients& grads) { return grads.extra; }

  BIRNN_INLINE static void second(Vec sum, const Beside&, Vec*, Unit& unit) { unit.h = sum; }

  BIRNN_INLINE static Vec second_back(Vec, const Vec*, const Unit&, const Beside&, Unit& d_unit,
                                      Back&) {
    const Vec d_sum = d_unit.h;
    d_unit.h = Vec{};
    return d_sum;
  }
};

// Stored i, f, g and the sum of o, whose gate sees the new cell state. w: of i, f, o.
struct PeepholeLstm : OneProduct<4, 4, true> {
  static constexpr int kDiagonals = 3;
  template <class T>  // Layer or Gradients
  static auto diagonal(const T& from, long hidden, int n) {
    return from.extra + n * hidden;
  }

  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec i = sigmoid(sums[0] + beside.w[0] * unit.c);
    const Vec f = sigmoid(sums[1] + beside.w[1] * unit.c), g = tanh(sums[2]);
    unit.c = f * unit.c + i * (beside.candidate * g);
    unit.h = sigmoid(sums[3] + beside.w[2] * unit.c) * tanh(unit.c);
    stored[0] = i, stored[1] = f, stored[2] = g, stored[3] = sums[3];
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec i = stored[0], f = stored[1], g = stored[2];
    const Vec part = beside.candidate * g, c = f * before.c + i * part, tanh_c = tanh(c);
    const Vec o = sigmoid(stored[3] + beside.w[2] * c);
    back.d_sums[3] = d_unit.h * tanh_c * o * (1 - o);
    const Vec d_c =
        d_unit.c + d_unit.h * o * (1 - tanh_c * tanh_c) + back.d_sums[3] * beside.w[2];
    back.d_sums[0] = d_c * part * i * (1 - i);
    back.d_sums[1] = d_c * before.c * f * (1 - f);
    back.d_sums[2] = d_c * i * beside.candidate * (1 - g * g);
    back.d_w[0] = back.d_sums[0] * before.c;
    back.d_w[1] = back.d_sums[1] * before.c;
    back.d_w[2] = back.d_sums[3] * c;
    d_unit.c = d_c * f + back.d_sums[0] * beside.w[0] + back.d_sums[1] * beside.w[1];
    d_unit.h = Vec{};
  }
};

// Sums and stored: f, g, o; the input gate is 1 - f.
struct CoupledLstm : OneProduct<3, 3, true> {
  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec f = sigmoid(sums[0]), g = tanh(sums[1]), o = sigmoid(sums[2]);
    unit.c = f * unit.c + (1 - f) * (beside.candidate * g);
    unit.h = o * tanh(unit.c);
    stored[0] = f, stored[1] = g, stored[2] = o;
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec f = stored[0], g = stored[1], o = stored[2], part = beside.candidate * g;
    const Vec tanh_c = tanh(f * before.c + (1 - f) * part);
    const Vec d_c = d_unit.c + d_unit.h * o * (1 - tanh_c * tanh_c);
    back.d_sums[0] = d_c * (before.c - part) * f * (1 - f);
    back.d_sums[1] = d_c * (1 - f) * beside.candidate * (1 - g * g);
    back.d_sums[2] = d_unit.h * tanh_c * o * (1 - o);
    d_unit.c = d_c * f;
    d_unit.h = Vec{};
  }
};

// The sLSTM: sums of i, f, g, o; the cell state is c, the normaliser n and the stabiliser m. Stored: the
// sum of i, the logarithm of the sigmoid of that of f, g, o.
struct SLstm : OneProduct<4, 4, true> {
  static constexpr int kMore = 2;

  // Both gates over exp(m), so that the larger one is 1, and the new m.
  struct Stabilised {
    Vec i, f, m;
    Ints has_more_i, has_more_f;  // the larger logarithm
    BIRNN_INLINE Stabilised(Vec log_i, Vec log_f, const Unit& before) {
      // Where n is 0 nothing is kept.
      const Vec kept = log_f + before.more[1];
      const Vec gap = before.more[0] == 0 ? broadcast(1000) : log_i - kept;
      has_more_i = gap > 0, has_more_f = gap < 0;
      const Vec smaller = exp(has_more_i ? -gap : gap), one = broadcast(1);
      i = has_more_i ? one : smaller, f = has_more_i ? smaller : one, m = has_more_i ? log_i : kept;
    }
  };

  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec log_f = log_sigmoid(sums[1]), g = tanh(sums[2]), o = sigmoid(sums[3]);
    const Stabilised gates(sums[0], log_f, unit);
    unit.c = gates.f * unit.c + gates.i * (beside.candidate * g);
    unit.more[0] = gates.f * unit.more[0] + gates.i;
    unit.more[1] = gates.m;
    unit.h = o * (unit.c / unit.more[0]);
    stored[0] = sums[0], stored[1] = log_f, stored[2] = g, stored[3] = o;
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec g = stored[2], o = stored[3], part = beside.candidate * g;
    const Stabilised gates(stored[0], stored[1], before);
    const Vec n = gates.f * before.more[0] + gates.i;
    const Vec ratio = (gates.f * before.c + gates.i * part) / n, d_ratio = d_unit.h * o / n;
    const Vec d_c = d_unit.c + d_ratio, d_n = d_unit.more[0] - d_ratio * ratio, d_m = d_unit.more[1];
    // By the logarithms of both gates; m is the larger of them, and that gate stays 1.
    const Vec d_i = (d_c * part + d_n) * gates.i, d_f = (d_c * before.c + d_n * before.more[0]) * gates.f;
    const Vec half = Scalar(0.5) * (d_m + d_i - d_f);
    const Vec d_kept = gates.has_more_i ? d_f : gates.has_more_f ? d_m - d_i : d_m - half;
    back.d_sums[0] = gates.has_more_i ? d_m - d_f : gates.has_more_f ? d_i : half;
    back.d_sums[1] = -d_kept * expm1(stored[1]);
    back.d_sums[2] = d_c * gates.i * beside.candidate * (1 - g * g);
    back.d_sums[3] = d_unit.h * ratio * o * (1 - o);
    d_unit = {d_c * gates.f, Vec{}, {d_n * gates.f, d_kept}};
  }
};

}  // namespace birnn::BIRNN_ISA
