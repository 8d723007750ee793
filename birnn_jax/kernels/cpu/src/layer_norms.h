// The cells with layer normalisation, in the terms of cells.h, and their norms.
//
// A cell with kIsNormed has each of its two products normalised before they are added to the bias.
// One with kSecondNorms has in place of a second matrix a norm: `second` goes on with what `step`
// left in unit.h, normalised over the row, scaled and shifted.
#pragma once

#include "lstms.h"
#include "row_norm.h"

namespace birnn::BIRNN_ISA {

// Where the weights of the norms are in Layer::extra, or their gradients; null where there is none.
template <class T>
struct NormWeights {
  T *scale_x, *scale_h, *scale_c, *shift_c;
};

// The gates r and z are in one norm, the candidate is in another.
struct GruNorms {
  static constexpr int kCount = 3, kNorms = 2;
  static constexpr int kOf[kSums] = {1, 0, 0, 1};
};

struct GruNormsOfX : GruNorms {
  static constexpr int kFirst = 0;
};

struct GruNormsOfH : GruNorms {
  static constexpr int kFirst = 1;
};

struct LayerNormGru : Gru {
  static constexpr bool kIsNormed = true;
  static constexpr double kEpsilon = 1e-5;
  using NormsOfX = GruNormsOfX;
  using NormsOfH = GruNormsOfH;

  template <class T>
  static NormWeights<T> norm_weights(T* extra, long hidden) {
    return {extra + hidden, extra + 4 * hidden, nullptr, nullptr};  // after b_hn
  }
};

// What is normalised second is the new cell state. `carries_norm`: that is carried on.
template <bool carries_norm>
struct LayerNormLstm : OneProduct<4, 4, true> {
  static constexpr bool kIsNormed = true;
  static constexpr double kEpsilon = carries_norm ? 1e-3 : 1e-5;
  static constexpr bool kIsTwo = true, kSecondNorms = true, kSecondStores = true;
  static constexpr bool kSecondHasC = carries_norm;
  static constexpr bool kIsOfSecond[kSums] = {false, false, false, true};

  template <class T>
  static NormWeights<T> norm_weights(T* extra, long hidden) {
    return {extra, extra + 4 * hidden, extra + 8 * hidden, extra + 9 * hidden};
  }

  BIRNN_INLINE static void step(const Vec* sums, const Beside& beside, Vec* stored, Unit& unit) {
    const Vec i = sigmoid(sums[0]), f = sigmoid(sums[1]), g = tanh(sums[2]), o = sigmoid(sums[3]);
    unit.c = f * unit.c + i * (beside.candidate * g);
    unit.h = unit.c;
    stored[0] = i, stored[1] = f, stored[2] = g, stored[3] = o;
  }

  BIRNN_INLINE static void second(Vec sum, const Beside&, Vec* stored, Unit& unit) {
    if (carries_norm) unit.c = sum;
    unit.h = stored[3] * tanh(sum);
  }

  BIRNN_INLINE static Vec second_back(Vec sum, const Vec* stored, const Unit&, const Beside&,
                                      Unit& d_unit, Back& back) {
    const Vec o = stored[3], tanh_c = tanh(sum);
    back.d_sums[3] = d_unit.h * tanh_c * o * (1 - o);
    Vec d_sum = d_unit.h * o * (1 - tanh_c * tanh_c);
    if (carries_norm) d_sum += d_unit.c, d_unit.c = Vec{};
    d_unit.h = Vec{};
    return d_sum;
  }

  BIRNN_INLINE static void step_back(const Vec* stored, const Unit& before, const Beside& beside,
                                     Unit& d_unit, Back& back) {
    const Vec i = stored[0], f = stored[1], g = stored[2], part = beside.candidate * g;
    const Vec d_c = d_unit.c + d_unit.h;
    back.d_sums[0] = d_c * part * i * (1 - i);
    back.d_sums[1] = d_c * before.c * f * (1 - f);
    back.d_sums[2] = d_c * i * beside.candidate * (1 - g * g);
    d_unit.c = d_c * f;
    d_unit.h = Vec{};
  }
};

// The norms of a cell; those it has not are of no units.
template <class Cell>
struct Norms {
  const RowNorm<typename Cell::NormsOfX> x;
  const RowNorm<typename Cell::NormsOfH> h;
  const RowNorm<OneNorm> c;
  const Array<Scalar> shift_c;  // as the sums of a plain product

  explicit Norms(const Layer& layer) : Norms(layer.hidden, weights_of(layer)) {}

  // The sums of the input, of which the bias is a part; in place.
  void finish_inputs(Scalar* row, long stride, const Scalar* bias, long panels) const {
    const auto moments = x.measure(row, stride);
    for (long panel = 0; panel < panels; panel++)
      for (int sum = 0; sum < kSums; sum++) {
        Scalar* at = row + panel * stride + sum * kWidth;
        Vec result = load(bias + panel * kPanel + sum * kWidth);
        if (sum >= Cell::kXFirst && sum < Cell::kXFirst + Cell::kX)
          result += x.apply(moments, panel, sum, load(at));
        store(at, result);
      }
  }

 private:
  Norms(long hidden, NormWeights<const Scalar> weights)
      : x(Cell::kLayout, Cell::kIsNormed ? hidden : 0, weights.scale_x, Cell::kEpsilon),
        h(Cell::kLayout, Cell::kIsNormed ? hidden : 0, weights.scale_h, Cell::kEpsilon),
        c(kPlain, Cell::kSecondNorms ? hidden : 0, weights.scale_c, Cell::kEpsilon),
        shift_c(Cell::kSecondNorms ? kPlain.count_panels(hidden) * kPanel : 0) {
    if (Cell::kSecondNorms) pack_columns(kPlain, hidden, 0, kSums, weights.shift_c, shift_c);
  }

  static NormWeights<const Scalar> weights_of(const Layer& layer) {
    if constexpr (Cell::kIsNormed)
      return Cell::norm_weights(layer.extra, layer.hidden);
    else
      return {};
  }
};

}  // namespace birnn::BIRNN_ISA
