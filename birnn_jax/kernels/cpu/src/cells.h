// The cells: which sums a unit has, what it makes of them, and the derivative of that.
//
// `step` makes of the sums what is stored, and moves the unit on. `step_back` takes the derivative
// by the new unit and makes of it that by the old one, and those by everything else in `Back`.
//
// A cell of two products multiplies, where `step` leaves it, unit.h with a second matrix; `second`
// goes on with a sum of that product, and `second_back` comes first on the way back. In layer_norms.h
// rows are normalised in between. lstms.h and diagonal.h have more cells.
#pragma once

#include "activations.h"
#include "columns.h"
#include "layer.h"
#include "row_norm.h"

namespace birnn::BIRNN_ISA {

// Of kWidth units and one row.
struct Unit {
  Vec c, h;
  Vec more[2];  // of the cell state, kMore of them
};

// Weights of a unit itself, at most.
constexpr int kMostDiagonals = 5;

// What a unit sees beside its sums and its state.
struct Beside {
  Vec h;                  // the state as the gates see it
  Vec candidate;          // what the candidate is multiplied by
  Vec w[kMostDiagonals];  // weights of the unit itself, kDiagonals of them
};

// Derivatives by what a unit saw.
struct Back {
  Vec d_sums[kSums], d_w[kMostDiagonals];
  Vec d_seen;  // by Beside::h, where it is not a product's
  Vec value;   // no derivative: what the second matrix was multiplied with
};

// What most cells have not.
struct PlainCell {
  static constexpr int kDiagonals = 0;
  static constexpr int kMore = 0;  // arrays [H] of the cell state beside c
  static constexpr bool kStoresH = false, kHasBHn = false;
  // A second stage: whether it is a norm in place of a product, reads and writes what is stored, and
  // makes the new c, and which sums of the first product get their derivatives there.
  static constexpr bool kIsTwo = false, kSecondNorms = false, kSecondStores = false;
  static constexpr bool kSecondHasC = false, kIsOfSecond[kSums] = {};
  static constexpr bool kIsNormed = false;
  static constexpr double kEpsilon = 0;
  using NormsOfX = OneNorm;
  using NormsOfH = OneNorm;
};

// Arrays [H] of the cell state of a cell that has one, which stand beside one another in a row.
template <class Cell>
constexpr long kParts = 1 + Cell::kMore;

// The sums of unit number n in a panel.
template <class Cell>
struct SumsOfUnit {
  Vec sums[kSums / Cell::kLayout.units];
  BIRNN_INLINE SumsOfUnit(const Vec* of_panel, int n) {
    for (int k = 0; k < kSums / Cell::kLayout.units; k++) sums[k] = of_panel[k * Cell::kLayout.units + n];
  }
};

template <class Cell>
BIRNN_INLINE void load_c(const Scalar* c, long stride, long size, Unit& unit) {
  unit.c = load(c, size);
  for (int n = 0; n < Cell::kMore; n++) unit.more[n] = load(c + (n + 1) * stride, size);
}

template <class Cell>
BIRNN_INLINE void store_c(Scalar* c, long stride, long size, const Unit& unit) {
  store(c, unit.c, size);
  for (int n = 0; n < Cell::kMore; n++) store(c + (n + 1) * stride, unit.more[n], size);
}

// Each unit has one product, of all sums, and the gates are in the order of the weights. So many
// gates are in the weights, and so many arrays [B, T, H] are stored for the backward pass.
template <int gates, int stored, bool has_c>
struct OneProduct : PlainCell {
  static constexpr int kGates = gates, kStored = stored;
  static constexpr bool kHasC = has_c;
  static constexpr Layout kLayout{1, {0, 1, 2, 3}};
  static constexpr int kCount = gates;  // sums in use
  static constexpr int kXFirst = 0, kX = gates, kHFirst = 0, kH = gates;
};

// kSums units beside one another. What is stored is the new h.
struct OneSum : PlainCell {
  static constexpr int kGates = 1, kStored = 1;
  static constexpr bool kHasC = false;
  static constexpr Layout kLayout = kPlain;
  static constexpr int kXFirst = 0, kX = kSums, kHFirst = 0, kH = kSums, kCount = kSums;
  static constexpr bool kStoresH = true;
};

struct Tanh {
  BIRNN_INLINE static Vec of(Vec a) { return tanh(a); }
  BIRNN_INLINE static Vec slope(Vec h) { return 1 - h * h; }
};

struct Relu {
  BIRNN_INLINE static Vec of(Vec a) { return at_least(Vec{}, a); }
  BIRNN_INLINE static Vec slope(Vec h) { return select(h > 0, broadcast(1), Vec{}); }
};

template <class Activation>
struct Elman : OneSum {
  BIRNN_INLINE static void step(const Vec* sums, const Beside&, Vec* stored, Unit& unit) {
    stored[0] = unit.h = Activation::of(sums[0]);
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit&, const Beside&, Unit& d_unit,
                                     Back& back) {
    back.d_sums[0] = d_unit.h * Activation::slope(stored[0]);
    d_unit.h = Vec{};
  }
};

// Sums n_x, r, z, n_h; n_x is a sum over the input, n_h one over the state. Stored r, z, n, n_h.
struct Gru : OneProduct<3, 4, false> {
  static constexpr int kCount = 4, kX = 3, kHFirst = 1, kH = 3;
  static constexpr bool kHasBHn = true;
  static constexpr Layout kLayout{1, {2, 0, 1, 2}};  // of r, z, n

  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec r = sigmoid(sums[1]), z = sigmoid(sums[2]);
    const Vec n = tanh(sums[0] + r * sums[3]), part = beside.candidate * n;
    unit.h = part + z * (unit.h - part);
    stored[0] = r, stored[1] = z, stored[2] = n, stored[3] = sums[3];
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec r = stored[0], z = stored[1], n = stored[2], part = beside.candidate * n;
    const Vec d_n = d_unit.h * (1 - z) * beside.candidate * (1 - n * n);
    back.d_sums[0] = d_n;
    back.d_sums[1] = d_n * stored[3] * r * (1 - r);
    back.d_sums[2] = d_unit.h * (before.h - part) * z * (1 - z);
    back.d_sums[3] = d_n * r;
    d_unit.h *= z;
  }
};

// Sums n_x, r, z; the second product is that of r * h, for n. Stored r, z, n.
struct GruResetBefore : OneProduct<3, 3, false> {
  static constexpr int kHFirst = 1, kH = 2;
  static constexpr bool kIsTwo = true, kSecondStores = true;
  static constexpr bool kIsOfSecond[kSums] = {true, false, true, false};
  static constexpr Layout kLayout{1, {2, 0, 1, 2}};  // of r, z, n
  static Matrix second_matrix(const Layer& layer) {
    return {layer.w_h + 2 * layer.hidden, layer.hidden, layer.hidden, 3 * layer.hidden};
  }
  static Scalar* second_gradient(const Layer& layer, const Gradients& grads) {
    return grads.w_h + 2 * layer.hidden;
  }

  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    stored[0] = sigmoid(sums[1]), stored[1] = sigmoid(sums[2]), stored[2] = sums[0];
    unit.h = stored[0] * beside.h;
  }

  BIRNN_INLINE static void second(Vec sum, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec z = stored[1], n = tanh(stored[2] + sum), part = beside.candidate * n;
    unit.h = part + z * (unit.h - part);
    stored[2] = n;
  }

  BIRNN_INLINE static Vec second_back(Vec, const Vec* stored, const Unit& before, const Beside& beside,
                                      Unit& d_unit, Back& back) {
    const Vec z = stored[1], n = stored[2], part = beside.candidate * n;
    const Vec d_n = d_unit.h * (1 - z) * beside.candidate * (1 - n * n);
    back.d_sums[0] = d_n;
    back.d_sums[2] = d_unit.h * (before.h - part) * z * (1 - z);
    d_unit.h *= z;
    return d_n;
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit&, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec r = stored[0];
    back.value = r * beside.h;
    back.d_sums[1] = d_unit.h * beside.h * r * (1 - r);
    back.d_seen = d_unit.h * r;
  }
};

}  // namespace birnn::BIRNN_ISA
