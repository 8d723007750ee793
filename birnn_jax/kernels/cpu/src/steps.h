// The steps of a group in the backward pass: what each of them saw, and its gates.
#pragma once

#include "layer_norms.h"
#include "noise.h"
#include "sums.h"
#include "valid_steps.h"

namespace birnn::BIRNN_ISA {

// Steps of rows in a group, at least.
constexpr long kGroup = 128;

template <class Cell>
class Steps {
 public:
  Steps(const Layer& layer, const Outputs& out, Rows rows, long group)
      : layer_(layer),
        out_(out),
        rows_(rows),
        stride_(round_up(layer.inputs + layer.states, kWidth) + kWidth),
        value_stride_(round_up(layer.hidden, kWidth) + kWidth),
        // The new h is stored among the outputs, where zoneout does not change it.
        in_ys_(Cell::kStoresH && !has_zone(layer.zone_h)),
        recomputes_(!out.gates && !in_ys_),
        packed_(layer),
        sums_(layer, packed_, recomputes_ * count_reads(), recomputes_ * count_reads(), group),
        second_(kPlain, second_matrix<Cell>(layer),
                kMultipliesTwice<Cell> && Cell::kSecondStores ? recomputes_ * count_reads() : 0,
                packed_.second()),
        norms_(layer),
        panel_stride_(group * kPanel),
        row_steps_(group),
        befores_(group),
        arguments_(group * stride_),
        values_(Cell::kIsTwo ? group * value_stride_ : 0),
        xs_(group),
        hs_(group),
        gates_(recomputes_ ? group * Cell::kStored * layer.hidden : 0),
        of_x_(Cell::kIsNormed ? sums_.panels() * panel_stride_ : 0),
        of_h_(Cell::kIsNormed ? sums_.panels() * panel_stride_ : 0),
        inverses_(Cell::kIsNormed ? group : 0) {}

  void put(long k, RowStep step) {
    const long row = rows_.begin + step.row;
    row_steps_[k] = step;
    befores_[k] = is_start(layer_, row, step.step) ? kStart : step_before(layer_, row, step.step);
  }

  // After `count` of them were put.
  void complete(long count) {
    for (long k = 0; k < count; k++) {
      std::memcpy(x(k), layer_.xs + at(k) * layer_.inputs, layer_.inputs * sizeof(Scalar));
      std::memcpy(h_seen(k), h_before(k), layer_.states * sizeof(Scalar));
      if (layer_.seen)
        multiply_by(layer_.seen + (rows_.begin + row(k)) * layer_.states, layer_.states, h_seen(k));
    }
    if (recomputes_) recompute(count);
  }

  long row(long k) const { return row_steps_[k].row; }
  long step(long k) const { return row_steps_[k].step; }
  // Its number among all steps of all rows.
  long at(long k) const { return (rows_.begin + row(k)) * layer_.steps + step(k); }
  // What the first product was of; from one step to the next it is `stride`.
  Scalar* x(long k) const { return arguments_ + k * stride_; }
  Scalar* h_seen(long k) const { return x(k) + layer_.inputs; }
  long stride() const { return stride_; }
  // And the second one, or what was normalised.
  Scalar* value(long k) const { return values_ + k * value_stride_; }
  long value_stride() const { return value_stride_; }

  // The sums of both products, normalised: of panel p they are p * panel_stride() further on.
  Scalar* of_x(long k) const { return of_x_ + k * kPanel; }
  Scalar* of_h(long k) const { return of_h_ + k * kPanel; }
  long panel_stride() const { return panel_stride_; }
  const Norms<Cell>& norms() const { return norms_; }

  // Inverses of the standard deviations in a step.
  struct Inverses {
    Scalar x[2], h[2], c[1];
  };
  const Inverses& inverses(long k) const { return inverses_[k]; }

  const Scalar* h_before(long k) const {
    return before(k, layer_.states, layer_.h, layer_.start_h, out_.ys, out_.y_stride);
  }
  const Scalar* c_before(long k) const {
    const long width = kParts<Cell> * layer_.hidden;
    return before(k, width, layer_.c, layer_.start_c, out_.cs, width);
  }

  BIRNN_INLINE void load_stored(long k, long unit, long size, Vec* stored) const {
    if (Cell::kStoresH && in_ys_) {
      stored[0] = load(out_.ys + at(k) * out_.y_stride + unit, size);
      return;
    }
    for (int gate = 0; gate < Cell::kStored; gate++)
      stored[gate] = load(gates(k) + gate * layer_.hidden + unit, size);
  }

 private:
  static constexpr long kStart = -2;  // in place of the step before; -1 is that there is none

  long count_reads() const { return count_tiles((rows_.end - rows_.begin) * layer_.steps); }

  const Scalar* before(long k, long width, const Scalar* initial, const Scalar* start,
                      const Scalar* all, long stride) const {
    if (befores_[k] >= 0) return all + ((rows_.begin + row(k)) * layer_.steps + befores_[k]) * stride;
    return (befores_[k] == kStart ? start : initial) + (rows_.begin + row(k)) * width;
  }

  Scalar* gates(long k) const {
    return recomputes_ ? gates_ + k * Cell::kStored * layer_.hidden
                       : out_.gates + at(k) * Cell::kStored * layer_.hidden;
  }

  // The gates of all steps of the group, where the forward pass did not keep them.
  void recompute(long count) {
    for (long k = 0; k < count; k++) xs_[k] = x(k), hs_[k] = h_seen(k);
    if constexpr (Cell::kIsNormed)
      recompute_normed(count);
    else
      for (long panel = 0; panel < sums_.panels(); panel++)
        sums_.add_states(panel, 0, count, xs_, hs_,
                         [&](long k, const Vec* sums) { recompute(panel, k, sums); });
    if constexpr (kMultipliesTwice<Cell> && Cell::kSecondStores) {
      for (long k = 0; k < count; k++) hs_[k] = value(k);
      multiply_plain(second_, layer_.states, 0, count, hs_,
                     [&](long panel, long k, const Vec* sums) { recompute_second(panel, k, sums); });
    }
  }

  void recompute_normed(long count) {
    for (long panel = 0; panel < sums_.panels(); panel++) {
      sums_.add_inputs(panel, 0, count, xs_, of_x_ + panel * panel_stride_);
      sums_.multiply_states(panel, 0, count, hs_, of_h_ + panel * panel_stride_);
    }
    for (long k = 0; k < count; k++) {
      norms_.x.normalise(of_x(k), panel_stride_, inverses_[k].x);
      norms_.h.normalise(of_h(k), panel_stride_, inverses_[k].h);
      for (long panel = 0; panel < sums_.panels(); panel++) recompute(panel, k, add(panel, k).sums);
      if constexpr (Cell::kSecondNorms) norms_.c.normalise(value(k), kPanel, inverses_[k].c);
    }
  }

  struct PanelOfSums {
    Vec sums[kSums];
  };

  // The normalised sums of both products, scaled, and the bias.
  BIRNN_INLINE PanelOfSums add(long panel, long k) const {
    const Scalar *x = of_x(k) + panel * panel_stride_, *h = of_h(k) + panel * panel_stride_;
    PanelOfSums all;
    for (int n = 0; n < kSums; n++) {
      all.sums[n] = load(sums_.bias() + panel * kPanel + n * kWidth);
      if (n >= Cell::kXFirst && n < Cell::kXFirst + Cell::kX)
        all.sums[n] += load(x + n * kWidth) * norms_.x.scale(panel, n);
      if (n >= Cell::kHFirst && n < Cell::kHFirst + Cell::kH)
        all.sums[n] += load(h + n * kWidth) * norms_.h.scale(panel, n);
    }
    return all;
  }

  BIRNN_INLINE void recompute(long panel, long k, const Vec* sums) {
    for (int n = 0; n < Cell::kLayout.units; n++) {
      const Columns to(Cell::kLayout, layer_.hidden, panel, n);
      Unit unit{};
      Vec seen{};
      if (Cell::kHasC) load_c<Cell>(c_before(k) + to.unit, layer_.hidden, to.size, unit);
      if (!Cell::kIsTwo || Cell::kSecondStores) seen = load(h_seen(k) + to.unit, to.size);
      Vec stored[kSums] = {};
      const Beside beside = load_beside<Cell>(layer_, at(k), to.unit, to.size, seen);
      Cell::step(SumsOfUnit<Cell>(sums, n).sums, beside, stored, unit);
      save(k, to.unit, to.size, stored);
      if (Cell::kIsTwo) store(value(k) + to.unit, unit.h, to.size);
    }
  }

  BIRNN_INLINE void recompute_second(long panel, long k, const Vec* sums) {
    for (int n = 0; n < kSums; n++) {
      const Columns to(kPlain, layer_.states, panel, n);
      if (to.size <= 0) continue;
      Unit unit{};
      Vec stored[kSums] = {};
      load_stored(k, to.unit, to.size, stored);
      Cell::second(sums[n], load_beside<Cell>(layer_, at(k), to.unit, to.size, Vec{}), stored, unit);
      save(k, to.unit, to.size, stored);
    }
  }

  BIRNN_INLINE void save(long k, long unit, long size, const Vec* stored) {
    for (int gate = 0; gate < Cell::kStored; gate++)
      store(gates(k) + gate * layer_.hidden + unit, stored[gate], size);
  }

  const Layer& layer_;
  const Outputs& out_;
  const Rows rows_;
  const long stride_, value_stride_;
  const bool in_ys_, recomputes_;
  const PackedLayer<Cell> packed_;
  const Sums<Cell> sums_;
  const Weights<0, kSums> second_;
  const Norms<Cell> norms_;
  const long panel_stride_;
  const Array<RowStep> row_steps_;
  const Array<long> befores_;
  const Array<Scalar> arguments_, values_;  // [group, stride]: x and h as seen; [group, value stride]
  const Array<const Scalar*> xs_, hs_;
  const Array<Scalar> gates_;  // [group, stored, hidden], if they are computed again
  const Array<Scalar> of_x_, of_h_;  // [panels, group, kPanel]
  const Array<Inverses> inverses_;
};

}  // namespace birnn::BIRNN_ISA
