// The backward pass of one direction over some rows of the batch.
//
// Time runs backwards in groups of steps. Inside a group the derivatives of the sums are
// stored, panel by panel: the recurrence reads those of the last step only, and afterwards the
// gradients of weights and inputs are products over all of the group.
#pragma once

#include "noise.h"
#include "group_products.h"
#include "norm_gradients.h"
#include "steps.h"
#include "transposed.h"

namespace birnn::BIRNN_ISA {

template <class Cell>
class Backward {
 public:
  Backward(const Layer& layer, const Outputs& out, const Cotangents& d_out, const Gradients& grads,
           Rows rows)
      : layer_(layer),
        out_(out),
        d_out_(d_out),
        grads_(grads),
        rows_(rows),
        size_(rows.end - rows.begin),
        group_(larger(size_, kGroup)),
        panels_(Cell::kLayout.count_panels(layer.hidden)),
        panels_2_(Cell::kIsTwo ? kPlain.count_panels(layer.states) : 0),
        padded_(round_up(larger(layer.hidden, layer.states), kPanel)),
        w_h_t_(Cell::kLayout, matrix_of_h<Cell>(layer)),
        second_t_(kPlain, second_matrix<Cell>(layer)),
        steps_(layer, out, rows, group_),
        products_(layer, grads, steps_, group_),
        d_h_(size_ * padded_),
        d_c_(Cell::kHasC ? size_ * kParts<Cell> * padded_ : 0),
        d_seen_(layer.seen ? size_ * padded_ : 0),
        d_values_(Cell::kIsTwo ? size_ * padded_ : 0),
        d_sums_(group_ * panels_ * kPanel),
        d_sums_2_(group_ * panels_2_ * kPanel),
        d_w_(Cell::kDiagonals * padded_),
        d_norms_(layer),
        ends_(group_ + 2),
        targets_(group_) {}

  void run() {
    begin();
    long count = 0, steps = 0;
    for (long k = layer_.steps - 1; k >= 0; k--) {
      if (count + size_ > group_ || steps == group_) {
        work(count, steps);
        count = steps = 0;
      }
      ends_[steps++] = count;
      count = collect(layer_.reverse ? layer_.steps - 1 - k : k, count);
      ends_[steps] = count;
    }
    work(count, steps);
    end();
  }

 private:
  void begin() {
    std::memset(d_h_, 0, size_ * padded_ * sizeof(Scalar));
    if (Cell::kHasC) std::memset(d_c_, 0, size_ * kParts<Cell> * padded_ * sizeof(Scalar));
    std::memset(d_w_, 0, Cell::kDiagonals * padded_ * sizeof(Scalar));
    for (long i = 0; i < size_; i++) {
      const long row = rows_.begin + i;
      std::memcpy(d_h_ + i * padded_, d_out_.h + row * layer_.states, size_of_h());
      for_parts_of_c(row, [&](long part, long at) {
        std::memcpy(d_c(i, part), d_out_.c + at, size_of_part());
        if (layer_.starts) std::memset(grads_.start_c + at, 0, size_of_part());
      });
      if (layer_.starts) std::memset(grads_.start_h + row * layer_.states, 0, size_of_h());
    }
    products_.begin();
  }

  void end() {
    for (long i = 0; i < size_; i++) {
      const long row = rows_.begin + i;
      std::memcpy(grads_.h + row * layer_.states, d_h_ + i * padded_, size_of_h());
      for_parts_of_c(row, [&](long part, long at) {
        std::memcpy(grads_.c + at, d_c(i, part), size_of_part());
      });
    }
    if (grads_.b == nullptr) return;
    products_.end();
    if constexpr (Cell::kIsNormed)
      d_norms_.write(steps_.norms(), Cell::norm_weights(grads_.extra, layer_.hidden));
    if constexpr (Cell::kDiagonals > 0)
      for (int n = 0; n < Cell::kDiagonals; n++)
        std::memcpy(Cell::diagonal(grads_, layer_.hidden, n), d_w_ + n * padded_, size_of_part());
  }

  long collect(long step, long count) {
    for (long i = 0; i < size_; i++) {
      const long row = rows_.begin + i;
      if (is_valid(layer_, row, step))
        steps_.put(count++, {i, step});
      else if (grads_.xs)
        std::memset(grads_.xs + (row * layer_.steps + step) * layer_.inputs, 0,
                    layer_.inputs * sizeof(Scalar));
    }
    return count;
  }

  void work(long count, long steps) {
    if (count == 0) return;
    steps_.complete(count);
    for (long k = 0; k < steps; k++) {
      if (ends_[k] == ends_[k + 1]) continue;
      if (layer_.seen) std::memset(d_seen_, 0, size_ * padded_ * sizeof(Scalar));
      if constexpr (Cell::kIsTwo) differentiate_second(ends_[k], ends_[k + 1]);
      differentiate(ends_[k], ends_[k + 1]);
      if constexpr (Cell::kH > 0)
        multiply_back(w_h_t_, d_of_h(), ends_[k], ends_[k + 1], k % 2,
                      layer_.seen ? d_seen_ : d_h_, layer_.states);
      leave(ends_[k], ends_[k + 1]);
    }
    products_.add(count, d_sums_, d_of_x(), d_of_h(), d_sums_2_);
  }

  // d_rows[row of k] += derivatives of the sums of k times the transposed matrix
  template <class Matrix>
  void multiply_back(const Matrix& matrix, const Scalar* d_sums, long begin, long end, bool forth,
                     Scalar* d_rows, long size) {
    const long panels = (size + kPanel - 1) / kPanel;
    for (long j = 0; j < panels; j++) {
      // Back and forth: the weights used last are those next.
      const long column = (forth ? j : panels - 1 - j) * kPanel;
      for (long k = begin; k < end; k++) targets_[k] = d_rows + steps_.row(k) * padded_ + column;
      matrix.multiply(column, begin, end, d_sums, group_, targets_);
    }
  }

  // From the states back to the sums of the second stage, and through it.
  void differentiate_second(long begin, long end) {
    for (long panel = 0; panel < panels_2_; panel++)
      for (long k = begin; k < end; k++)
        for (int n = 0; n < kSums; n++) {
          const Columns from(kPlain, layer_.states, panel, n);
          Scalar* d_sum = d_sums_2_ + (panel * group_ + k) * kPanel + n * kWidth;
          if (from.size <= 0) {
            store(d_sum, Vec{});
            continue;
          }
          Vec stored[kSums] = {};
          if (Cell::kSecondStores) steps_.load_stored(k, from.unit, from.size, stored);
          const Unit before{Vec{}, load(steps_.h_before(k) + from.unit, from.size), {}};
          const Beside beside = load_beside<Cell>(layer_, steps_.at(k), from.unit, from.size,
                                                  before.h);
          Unit d_unit{Vec{}, d_new_h(k, from.unit, from.size), {}}, kept{};
          kept.h = take_kept(layer_.zone_h, layer_.states, k, from.unit, from.size, d_unit.h);
          if (Cell::kSecondHasC) {
            d_unit.c = load(d_c(steps_.row(k)) + from.unit);
            kept.c = take_kept(layer_.zone_c, layer_.hidden, k, from.unit, from.size, d_unit.c);
          }
          Vec sum{};
          if constexpr (Cell::kSecondNorms)
            sum = d_norms_.second_sum(steps_.norms(), steps_.value(k), panel, n);
          Back back{};
          const Vec d = Cell::second_back(sum, stored, before, beside, d_unit, back);
          store(d_sum, d);
          if (Cell::kSecondNorms) d_norms_.add_shift(panel, n, d);
          store(d_h(k) + from.unit, d_unit.h + kept.h);
          if (Cell::kSecondHasC) store(d_c(steps_.row(k)) + from.unit, d_unit.c + kept.c);
          // Units stand alone in the panels of the first product.
          for (int other = 0; other < kSums; other++)
            if (Cell::kIsOfSecond[other])
              store(d_sums(from.unit / kWidth, k) + other * kWidth, back.d_sums[other]);
        }
    if constexpr (Cell::kSecondNorms) {
      for (long k = begin; k < end; k++)
        d_norms_.differentiate_second(steps_, k, d_sums_2_ + k * kPanel,
                                      d_values_ + steps_.row(k) * padded_);
    } else {
      for (long k = begin; k < end; k++)
        std::memset(d_values_ + steps_.row(k) * padded_, 0, padded_ * sizeof(Scalar));
      multiply_back(second_t_, d_sums_2_, begin, end, false, d_values_, layer_.hidden);
    }
  }

  void differentiate(long begin, long end) {
    for (long k = begin; k < end; k++)
      for (long panel = 0; panel < panels_; panel++)
        for (int n = 0; n < Cell::kLayout.units; n++) {
          const Columns from(Cell::kLayout, layer_.hidden, panel, n);
          if (from.size <= 0) {
            for (int sum = n; sum < kSums; sum += Cell::kLayout.units)
              store(d_sums(panel, k) + sum * kWidth, Vec{});
            continue;
          }
          differentiate_unit(panel, k, n, from.unit, from.size);
        }
    if constexpr (Cell::kIsNormed)
      for (long k = begin; k < end; k++) d_norms_.differentiate(steps_, k, d_sums_ + k * kPanel);
  }

  BIRNN_INLINE void differentiate_unit(long panel, long k, int n, long unit, long size) {
    constexpr bool kHasH = !Cell::kIsTwo || Cell::kSecondStores;  // as many states as units
    Scalar* d_first = d_sums(panel, k) + n * kWidth;
    Vec stored[kSums] = {};
    steps_.load_stored(k, unit, size, stored);
    Unit before{};
    Vec seen{};
    if (kHasH) {
      before.h = load(steps_.h_before(k) + unit, size);
      seen = layer_.seen ? load(steps_.h_seen(k) + unit, size) : before.h;
    }
    if (Cell::kHasC) load_c<Cell>(steps_.c_before(k) + unit, layer_.hidden, size, before);
    const Beside beside = load_beside<Cell>(layer_, steps_.at(k), unit, size, seen);
    Unit d_unit{}, kept{};
    Back back{};
    if (Cell::kHasC) {
      load_c<Cell>(d_c(steps_.row(k)) + unit, padded_, kWidth, d_unit);
      if (Cell::kSecondHasC)  // what is there is of the old c, and was kept
        kept.c = d_unit.c, d_unit.c = Vec{};
      else
        kept.c = take_kept(layer_.zone_c, layer_.hidden, k, unit, size, d_unit.c);
    }
    if (Cell::kIsTwo) {
      d_unit.h = load(d_values_ + steps_.row(k) * padded_ + unit);
      for (int sum = 0; sum < kSums; sum++)
        if (Cell::kIsOfSecond[sum]) back.d_sums[sum] = load(d_first + sum * kWidth);
    } else {
      d_unit.h = d_new_h(k, unit, size);
      kept.h = take_kept(layer_.zone_h, layer_.states, k, unit, size, d_unit.h);
    }
    Cell::step_back(stored, before, beside, d_unit, back);
    if (Cell::kHasC) {
      d_unit.c += kept.c;
      store_c<Cell>(d_c(steps_.row(k)) + unit, padded_, kWidth, d_unit);
    }
    if (kHasH) {
      Vec d_old = Cell::kIsTwo ? load(d_h(k) + unit) : d_unit.h + kept.h;
      if (layer_.seen)
        store(d_seen_ + steps_.row(k) * padded_ + unit, back.d_seen);
      else
        d_old += back.d_seen;
      store(d_h(k) + unit, d_old);
    }
    for (int sum = 0; sum < kSums / Cell::kLayout.units; sum++)
      store(d_first + sum * Cell::kLayout.units * kWidth, back.d_sums[sum]);
    for (int w = 0; w < Cell::kDiagonals; w++) {
      Scalar* d_w = d_w_ + w * padded_ + unit;
      store(d_w, load(d_w) + back.d_w[w]);
    }
    if (kMultipliesTwice<Cell>) store(steps_.value(k) + unit, back.value, size);
  }

  // By the new h, of the steps that follow and of the output.
  BIRNN_INLINE Vec d_new_h(long k, long unit, long size) const {
    return load(d_h(k) + unit) + load(d_out_.ys + steps_.at(k) * out_.y_stride + unit, size);
  }

  // What of d_new belongs to the old state, which zoneout kept; leaves the rest.
  BIRNN_INLINE Vec take_kept(const Zone& zone, long width, long k, long unit, long size,
                             Vec& d_new) const {
    if (!has_zone(zone)) return Vec{};
    const Vec kept = d_new * part_kept(zone, steps_.at(k) * width + unit, size);
    d_new -= kept;
    return kept;
  }

  // To the steps before: by what the gates saw, and at the start of a segment to its state.
  void leave(long begin, long end) {
    for (long k = begin; k < end; k++) {
      const long row = rows_.begin + steps_.row(k);
      if (layer_.seen) {
        Scalar* d_seen = d_seen_ + steps_.row(k) * padded_;
        multiply_by(layer_.seen + row * layer_.states, layer_.states, d_seen);
        for (long j = 0; j < layer_.states; j++) d_h(k)[j] += d_seen[j];
      }
      if (!is_start(layer_, row, steps_.step(k))) continue;
      move(d_h(k), layer_.states, grads_.start_h + row * layer_.states);
      for_parts_of_c(row, [&](long part, long at) {
        move(d_c(steps_.row(k), part), layer_.hidden, grads_.start_c + at);
      });
    }
  }

  // Calls function(part, where it stands in an array [B, parts, H]), if there is a cell state.
  template <class F>
  void for_parts_of_c(long row, F function) const {
    if (!Cell::kHasC) return;
    for (long part = 0; part < kParts<Cell>; part++)
      function(part, (row * kParts<Cell> + part) * layer_.hidden);
  }

  static void move(Scalar* from, long size, Scalar* to) {
    for (long j = 0; j < size; j++) to[j] += from[j], from[j] = 0;
  }

  long columns() const { return Cell::kGates * layer_.hidden; }
  long size_of_h() const { return layer_.states * sizeof(Scalar); }
  long size_of_part() const { return layer_.hidden * sizeof(Scalar); }
  Scalar* d_h(long k) const { return d_h_ + steps_.row(k) * padded_; }
  Scalar* d_c(long row, long part = 0) const { return d_c_ + (row * kParts<Cell> + part) * padded_; }
  const Scalar* d_of_x() const { return Cell::kIsNormed ? steps_.of_x(0) : d_sums_; }
  const Scalar* d_of_h() const { return Cell::kIsNormed ? steps_.of_h(0) : d_sums_; }
  Scalar* d_sums(long panel, long k) const { return d_sums_ + (panel * group_ + k) * kPanel; }

  const Layer& layer_;
  const Outputs& out_;
  const Cotangents& d_out_;
  const Gradients& grads_;
  const Rows rows_;
  const long size_, group_, panels_, panels_2_, padded_;
  const Transposed<Cell::kHFirst, Cell::kH> w_h_t_;
  const Transposed<0, kSums> second_t_;
  Steps<Cell> steps_;
  GroupProducts<Cell> products_;
  const Array<Scalar> d_h_, d_c_;          // [size, padded]; [size, parts, padded]
  const Array<Scalar> d_seen_, d_values_;  // [size, padded]: by the factors of the two products
  const Array<Scalar> d_sums_, d_sums_2_;  // [panels, group, kPanel]
  const Array<Scalar> d_w_;                // [diagonals, padded]
  const NormGradients<Cell> d_norms_;
  const Array<long> ends_;
  const Array<Scalar*> targets_;
};

template <class Cell>
void backward(const Layer& layer, const Outputs& out, const Cotangents& d_out,
              const Gradients& grads, Rows rows) {
  Backward<Cell>(layer, out, d_out, grads, rows).run();
}

}  // namespace birnn::BIRNN_ISA
