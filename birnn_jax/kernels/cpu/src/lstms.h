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
  static const Scalar* diagonals(const Layer& layer) { return layer.extra; }
  static Scalar* diagonals(const Gradients& grads) { return grads.extra; }

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

}  // namespace birnn::BIRNN_ISA
