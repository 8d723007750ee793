// The three cells: which sums a unit has, what it makes of them, and the derivative of that.
//
// Work is cut into panels of kUnits * kWidth hidden units. A row has kSums vectors of sums there:
//   LSTM   i, f, g, o of kWidth units
//   GRU    n_x, r, z, n_h of kWidth units; n_x is a sum over the input, n_h one over the state
//   Elman  the sums of kPanel units
// The input adds to the kX vectors from kXFirst on, the state to the kH vectors from kHFirst on.
#pragma once

#include "activations.h"
#include "layer.h"

namespace birnn::BIRNN_ISA {

// Of kWidth units and one row.
struct Unit {
  Vec c, h;
};

struct Elman : ElmanArrays {
  static constexpr int kUnits = kSums;
  static constexpr int kXFirst = 0, kX = kSums, kHFirst = 0, kH = kSums;
  static constexpr int gate_of(int) { return 0; }

  BIRNN_INLINE static void step(const Vec* sums, Vec*, Unit& unit) { unit.h = tanh(sums[0]); }

  BIRNN_INLINE static void step_back(const Vec*, const Unit&, Vec h, Vec* d_sums, Unit& d_unit) {
    d_sums[0] = d_unit.h * (1 - h * h);
    d_unit.h = Vec{};
  }
};

struct Gru : GruArrays {
  static constexpr int kUnits = 1;  // stored: r, z, n, n_h
  static constexpr int kXFirst = 0, kX = 3, kHFirst = 1, kH = 3;
  static constexpr int gate_of(int sum) { return (sum + 2) % 3; }  // of r, z, n

  BIRNN_INLINE static void step(const Vec* sums, Vec* stored, Unit& unit) {
    const Vec r = sigmoid(sums[1]), z = sigmoid(sums[2]);
    const Vec n = tanh(sums[0] + r * sums[3]);
    unit.h = n + z * (unit.h - n);
    stored[0] = r, stored[1] = z, stored[2] = n, stored[3] = sums[3];
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, Vec, Vec* d_sums,
                                     Unit& d_unit) {
    const Vec r = stored[0], z = stored[1], n = stored[2];
    const Vec d_n = d_unit.h * (1 - z) * (1 - n * n);
    d_sums[0] = d_n;
    d_sums[1] = d_n * stored[3] * r * (1 - r);
    d_sums[2] = d_unit.h * (before.h - n) * z * (1 - z);
    d_sums[3] = d_n * r;
    d_unit.h *= z;
  }
};

struct Lstm : LstmArrays {
  static constexpr int kUnits = 1;  // stored: i, f, g, o
  static constexpr int kXFirst = 0, kX = kSums, kHFirst = 0, kH = kSums;
  static constexpr int gate_of(int sum) { return sum; }

  BIRNN_INLINE static void step(const Vec* sums, Vec* stored, Unit& unit) {
    const Vec i = sigmoid(sums[0]), f = sigmoid(sums[1]), g = tanh(sums[2]), o = sigmoid(sums[3]);
    unit.c = f * unit.c + i * g;
    unit.h = o * tanh(unit.c);
    stored[0] = i, stored[1] = f, stored[2] = g, stored[3] = o;
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, Vec, Vec* d_sums,
                                     Unit& d_unit) {
    const Vec i = stored[0], f = stored[1], g = stored[2], o = stored[3];
    const Vec tanh_c = tanh(f * before.c + i * g);
    const Vec d_c = d_unit.c + d_unit.h * o * (1 - tanh_c * tanh_c);
    d_sums[0] = d_c * g * i * (1 - i);
    d_sums[1] = d_c * before.c * f * (1 - f);
    d_sums[2] = d_c * i * (1 - g * g);
    d_sums[3] = d_unit.h * tanh_c * o * (1 - o);
    d_unit.c = d_c * f;
    d_unit.h = Vec{};
  }
};

// Where sum number `sum` of panel `panel` stands among the columns [G*H] of the weights.
template <class Cell>
struct Columns {
  long gate, unit, size;  // gate, its first unit, how many of kWidth units there are

  Columns(long hidden, long panel, int sum)
      : gate(Cell::gate_of(sum)), unit((panel * Cell::kUnits + sum % Cell::kUnits) * kWidth) {
    size = hidden - unit < kWidth ? hidden - unit : kWidth;
  }
};

template <class Cell>
long count_panels(long hidden) {
  return (hidden + Cell::kUnits * kWidth - 1) / (Cell::kUnits * kWidth);
}

}  // namespace birnn::BIRNN_ISA
