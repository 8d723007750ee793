// The forward pass of one direction over some rows of the batch.
#pragma once

#include "layer_norms.h"
#include "noise.h"
#include "sums.h"
#include "valid_steps.h"

namespace birnn::BIRNN_ISA {

// Of at most so many rows the input of several steps is multiplied at once, so many rows in all.
constexpr long kMostOfFew = 12, kRowsAtOnce = 96;

template <class Cell, class Products>
class Forward {
 public:
  Forward(const Layer& layer, const Outputs& out, Rows rows)
      : layer_(layer),
        out_(out),
        rows_(rows),
        size_(rows.end - rows.begin),
        steps_(size_ > kMostOfFew ? 1 : larger(1, smaller(layer.steps, kRowsAtOnce / larger(1, size_)))),
        packed_(layer),
        sums_(layer, packed_, larger(1, count_tiles(size_ * layer.steps)),
              larger(1, count_tiles(size_) * layer.steps), size_ * steps_),
        second_(kPlain, second_matrix<Cell>(layer),
                kMultipliesTwice<Cell> ? count_tiles(size_) * layer.steps : 0, packed_.second()),
        norms_(layer),
        has_ahead_(steps_ > 1 || Cell::kIsNormed),
        padded_(round_up(larger(layer.hidden, layer.states), kPanel)),
        h_(2 * size_ * padded_),
        c_(Cell::kHasC ? size_ * kParts<Cell> * padded_ : 0),
        seen_(layer.seen ? size_ * padded_ : 0),
        values_(Cell::kIsTwo ? size_ * padded_ : 0),
        scratch_(Cell::kIsTwo ? size_ * Cell::kStored * layer.hidden : 0),
        turn_(size_),
        row_steps_(size_ * steps_),
        xs_(size_ * steps_),
        hs_(size_ * steps_),
        ahead_(has_ahead_ ? sums_.panels() * stride() : 0),
        behind_(Cell::kIsNormed ? sums_.panels() * stride() : 0) {}

  void run() {
    begin();
    Array<long> ends(steps_ + 1);
    for (long first = 0; first < layer_.steps; first += steps_) {
      const long last = smaller(first + steps_, layer_.steps);
      long count = 0;
      for (long k = first; k < last; k++) {
        ends[k - first] = count;
        count = collect(layer_.reverse ? layer_.steps - 1 - k : k, count);
      }
      ends[last - first] = count;
      sums_.see_inputs(count, xs_);
      if (has_ahead_)
        for (long panel = 0; panel < sums_.panels(); panel++)
          sums_.add_inputs(panel, 0, count, xs_, ahead_ + panel * stride());
      if constexpr (Cell::kIsNormed)
        for (long k = 0; k < count; k++)
          norms_.finish_inputs(ahead_ + k * kPanel, stride(), sums_.bias(), sums_.panels());
      for (long k = 0; k < last - first; k++) advance(ends[k], ends[k + 1]);
    }
    end();
  }

 private:
  void begin() {
    std::memset(h_, 0, 2 * size_ * padded_ * sizeof(Scalar));
    if (Cell::kHasC) std::memset(c_, 0, size_ * kParts<Cell> * padded_ * sizeof(Scalar));
    if (layer_.seen) std::memset(seen_, 0, size_ * padded_ * sizeof(Scalar));
    for (long i = 0; i < size_; i++) {
      turn_[i] = 0;
      set_state(i, layer_.c, layer_.h);
    }
  }

  void set_state(long i, const Scalar* cs, const Scalar* hs) {
    const long row = rows_.begin + i;
    std::memcpy(h(i, turn_[i]), hs + row * layer_.states, layer_.states * sizeof(Scalar));
    for (long part = 0; Cell::kHasC && part < kParts<Cell>; part++)
      std::memcpy(c(i) + part * padded_, cs + (row * kParts<Cell> + part) * layer_.hidden,
                  layer_.hidden * sizeof(Scalar));
  }

  void end() {
    for (long i = 0; i < size_; i++) {
      const long row = rows_.begin + i;
      std::memcpy(out_.h + row * layer_.states, h(i, turn_[i]), layer_.states * sizeof(Scalar));
      for (long part = 0; Cell::kHasC && part < kParts<Cell>; part++)
        std::memcpy(out_.c + (row * kParts<Cell> + part) * layer_.hidden, c(i) + part * padded_,
                    layer_.hidden * sizeof(Scalar));
    }
  }

  long collect(long step, long count) {
    for (long i = 0; i < size_; i++) {
      const long row = rows_.begin + i;
      if (is_valid(layer_, row, step)) {
        row_steps_[count] = {i, step};
        xs_[count++] = layer_.xs + (row * layer_.steps + step) * layer_.inputs;
      } else {
        skip(row * layer_.steps + step);
      }
    }
    return count;
  }

  void skip(long at) {
    const long size = layer_.hidden * sizeof(Scalar);
    std::memset(out_.ys + at * out_.y_stride, 0, layer_.states * sizeof(Scalar));
    if (out_.cs) std::memset(out_.cs + at * kParts<Cell> * layer_.hidden, 0, kParts<Cell> * size);
    if (out_.gates)
      std::memset(out_.gates + at * Cell::kStored * layer_.hidden, 0, Cell::kStored * size);
  }

  void advance(long begin, long end) {
    for (long k = begin; k < end; k++) {
      const long i = row_steps_[k].row;
      if (is_start(layer_, rows_.begin + i, row_steps_[k].step))
        set_state(i, layer_.start_c, layer_.start_h);
      hs_[k] = see(i);
    }
    sums_.see_states(begin, end, hs_);
    // With few rows the weights are most of the traffic: those used last are those next.
    flips_ = !flips_ && steps_ > 1;
    for (long k = 0; k < sums_.panels(); k++) {
      const long panel = flips_ ? sums_.panels() - 1 - k : k;
      if constexpr (Cell::kIsNormed)
        sums_.multiply_states(panel, begin, end, hs_, behind_ + panel * stride());
      else if (has_ahead_)
        sums_.add_states(panel, begin, end, hs_, ahead_ + panel * stride());
      else
        sums_.add_states(panel, begin, end, xs_, hs_,
                         [&](long k, const Vec* sums) { finish(panel, k, sums); });
    }
    // The activations of a panel wait for one another: those of all panels at a time do not wait for products, too.
    if (has_ahead_ && !Cell::kIsNormed)
      for (long panel = 0; panel < sums_.panels(); panel++)
        for (long k = begin; k < end; k++) finish(panel, k, ahead_ + panel * stride() + k * kPanel);
    if constexpr (Cell::kIsNormed)
      for (long k = begin; k < end; k++) finish_normed(k);
    if constexpr (Cell::kSecondNorms) {
      for (long k = begin; k < end; k++) finish_second_normed(k);
    } else if constexpr (Cell::kIsTwo) {
      for (long k = begin; k < end; k++) hs_[k] = values_ + row_steps_[k].row * padded_;
      multiply_plain(second_, layer_.states, begin, end, hs_,
                     [&](long panel, long k, const Vec* sums) { finish_second(panel, k, sums); });
    }
    for (long k = begin; k < end; k++) turn_[row_steps_[k].row] ^= 1;
  }

  // What the gates see of the state of a row.
  const Scalar* see(long i) const {
    const Scalar* state = h(i, turn_[i]);
    if (layer_.seen == nullptr) return state;
    Scalar* to = seen_ + i * padded_;
    std::memcpy(to, state, layer_.states * sizeof(Scalar));
    multiply_by(layer_.seen + (rows_.begin + i) * layer_.states, layer_.states, to);
    return to;
  }

  // The product of the state normalised, and added to that of the input.
  void finish_normed(long k) {
    const Scalar *x = ahead_ + k * kPanel, *h = behind_ + k * kPanel;
    const auto moments = norms_.h.measure(h, stride());
    for (long panel = 0; panel < sums_.panels(); panel++, x += stride(), h += stride()) {
      Vec sums[kSums];
      for (int n = 0; n < kSums; n++) {
        sums[n] = load(x + n * kWidth);
        if (n >= Cell::kHFirst && n < Cell::kHFirst + Cell::kH)
          sums[n] += norms_.h.apply(moments, panel, n, load(h + n * kWidth));
      }
      finish(panel, k, sums);
    }
  }

  void finish_second_normed(long k) {
    const Scalar* row = values_ + row_steps_[k].row * padded_;
    const auto moments = norms_.c.measure(row, kPanel);
    for (long panel = 0; panel < kPlain.count_panels(layer_.hidden); panel++) {
      Vec sums[kSums];
      for (int n = 0; n < kSums; n++) {
        const long at = panel * kPanel + n * kWidth;
        sums[n] = norms_.c.apply(moments, panel, n, load(row + at)) + load(norms_.shift_c + at);
      }
      finish_second(panel, k, sums);
    }
  }

  void finish(long panel, long k, const Scalar* from) {
    Vec sums[kSums];
    for (int n = 0; n < kSums; n++) sums[n] = load(from + n * kWidth);
    finish(panel, k, sums);
  }

  BIRNN_INLINE void finish(long panel, long k, const Vec* sums) {
    const long i = row_steps_[k].row, at = step_number(k);
    for (int n = 0; n < Cell::kLayout.units; n++) {
      const Columns to(Cell::kLayout, layer_.hidden, panel, n);
      Unit before{Vec{}, load(h(i, turn_[i]) + to.unit), {}};
      if (Cell::kHasC) load_c<Cell>(c(i) + to.unit, padded_, kWidth, before);
      const Beside beside =
          load_beside<Cell>(layer_, at, to.unit, to.size, load(hs_[k] + to.unit));
      Unit unit = before;
      Vec stored[kSums];
      Cell::step(SumsOfUnit<Cell>(sums, n).sums, beside, stored, unit);
      if (Cell::kHasC && !Cell::kSecondHasC) put_c(k, to.unit, to.size, before.c, unit);
      if (Cell::kIsTwo || out_.gates)
        for (int gate = 0; gate < Cell::kStored; gate++)
          store(gates(k) + gate * layer_.hidden + to.unit, stored[gate], to.size);
      if (Cell::kIsTwo)
        store(values_ + i * padded_ + to.unit, unit.h);
      else
        put(k, to.unit, to.size, before.h, unit.h);
    }
  }

  // Of kSums units in one panel of the second product.
  BIRNN_INLINE void finish_second(long panel, long k, const Vec* sums) {
    const long i = row_steps_[k].row;
    for (int n = 0; n < kSums; n++) {
      const Columns to(kPlain, layer_.states, panel, n);
      if (to.size <= 0) continue;
      const Unit before{Cell::kSecondHasC ? load(c(i) + to.unit) : Vec{},
                        load(h(i, turn_[i]) + to.unit), {}};
      const Beside beside = load_beside<Cell>(layer_, step_number(k), to.unit, to.size, before.h);
      Unit unit = before;
      if constexpr (Cell::kSecondStores) {
        Vec stored[kSums];
        Scalar* from = gates(k) + to.unit;
        for (int gate = 0; gate < Cell::kStored; gate++)
          stored[gate] = load(from + gate * layer_.hidden, to.size);
        Cell::second(sums[n], beside, stored, unit);
        for (int gate = 0; gate < Cell::kStored; gate++)
          store(from + gate * layer_.hidden, stored[gate], to.size);
      } else {
        Cell::second(sums[n], beside, nullptr, unit);
      }
      if (Cell::kSecondHasC) put_c(k, to.unit, to.size, before.c, unit);
      put(k, to.unit, to.size, before.h, unit.h);
    }
  }

  BIRNN_INLINE void put_c(long k, long unit, long size, Vec before, Unit after) {
    const long at = step_number(k) * layer_.hidden;
    after.c = zoned(layer_.zone_c, at + unit, size, before, after.c);
    store_c<Cell>(c(row_steps_[k].row) + unit, padded_, kWidth, after);
    if (out_.cs) store_c<Cell>(out_.cs + at * kParts<Cell> + unit, layer_.hidden, size, after);
  }

  BIRNN_INLINE void put(long k, long unit, long size, Vec before, Vec after) {
    const long i = row_steps_[k].row, at = step_number(k);
    after = zoned(layer_.zone_h, at * layer_.states + unit, size, before, after);
    store(h(i, turn_[i] ^ 1) + unit, after);
    store(out_.ys + at * out_.y_stride + unit, after, size);
  }

  long step_number(long k) const {
    return (rows_.begin + row_steps_[k].row) * layer_.steps + row_steps_[k].step;
  }
  Scalar* gates(long k) const {
    return (out_.gates ? out_.gates + step_number(k) * Cell::kStored * layer_.hidden
                       : scratch_ + row_steps_[k].row * Cell::kStored * layer_.hidden);
  }
  Scalar* h(long i, int turn) const { return h_ + (turn * size_ + i) * padded_; }
  Scalar* c(long i) const { return c_ + i * kParts<Cell> * padded_; }
  long stride() const { return size_ * steps_ * kPanel; }  // from one panel to the next

  const Layer& layer_;
  const Outputs& out_;
  const Rows rows_;
  const long size_, steps_;  // rows, and steps whose input is multiplied at once
  const typename Products::Packed packed_;
  Products sums_;
  const Weights<0, kSums> second_;
  const Norms<Cell> norms_;
  const bool has_ahead_;
  const long padded_;
  const Array<Scalar> h_, c_;  // [2, size, padded]: before and after a step; [size, parts, padded]
  const Array<Scalar> seen_, values_;  // [size, padded]: factors of the two products
  const Array<Scalar> scratch_;        // [size, stored, H]: of one step, if not stored
  const Array<unsigned char> turn_;   // which h of a row is the one before
  const Array<RowStep> row_steps_;
  const Array<const Scalar*> xs_, hs_;
  bool flips_ = false;
  // [panels, size * steps, kPanel]: sums of the input, if of several steps at once, or those which
  // are normalised; sums of the state that are
  const Array<Scalar> ahead_, behind_;
};

// Products: Sums<Cell>, or what has its functions.
template <class Cell, class Products>
void forward(const Layer& layer, const Outputs& out, Rows rows) {
  Forward<Cell, Products>(layer, out, rows).run();
}

}  // namespace birnn::BIRNN_ISA
