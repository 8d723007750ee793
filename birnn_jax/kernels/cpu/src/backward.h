// The backward pass of one direction over some rows of the batch.
//
// Time runs backwards in groups of steps. Inside a group the derivatives of the sums are
// stored, panel by panel: the recurrence reads those of the last step only, and afterwards the
// gradients of weights and inputs are products over all of the group.
#pragma once

#include "products.h"
#include "sums.h"
#include "transposed.h"
#include "valid_steps.h"

namespace birnn::BIRNN_ISA {

// Steps of rows in a group, at least.
constexpr long kGroup = 128;

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
        panels_(count_panels<Cell>(layer.hidden)),
        padded_((layer.hidden + kPanel - 1) / kPanel * kPanel),
        stride_((layer.inputs + layer.hidden + kWidth - 1) / kWidth * kWidth + kWidth),
        recomputes_(Cell::kStored && !out.gates),
        sums_(layer, recomputes_ * count_tiles(size_ * layer.steps),
              recomputes_ * count_tiles(size_ * layer.steps)),
        w_h_t_(layer.w_h, layer.hidden, layer.hidden),
        w_x_t_(layer.w_x, grads.xs ? layer.inputs : 0, layer.hidden),
        d_h_(size_ * padded_),
        d_c_(size_ * padded_),
        d_sums_(group_ * panels_ * kPanel),
        d_b_(panels_ * kPanel),
        row_steps_(group_),
        befores_(group_),
        ends_(group_ + 2),
        arguments_(group_ * stride_),
        d_xs_(group_ * kPanel),
        xs_(group_),
        hs_(group_),
        gates_(recomputes_ ? group_ * Cell::kStored * layer.hidden : 0) {}

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
    const long hidden = layer_.hidden, columns = Cell::kGates * hidden;
    std::memset(d_h_, 0, size_ * padded_ * sizeof(float));
    std::memset(d_c_, 0, size_ * padded_ * sizeof(float));
    std::memset(d_b_, 0, panels_ * kPanel * sizeof(float));
    for (long i = 0; i < size_; i++) {
      const long from = (rows_.begin + i) * hidden;
      std::memcpy(d_h_ + i * padded_, d_out_.h + from, hidden * sizeof(float));
      if (Cell::kHasC)
        std::memcpy(d_c_ + i * padded_, d_out_.c + from, hidden * sizeof(float));
    }
    if (grads_.b == nullptr) return;
    std::memset(grads_.w_x, 0, layer_.inputs * columns * sizeof(float));
    std::memset(grads_.w_h, 0, hidden * columns * sizeof(float));
  }

  void end() {
    const long hidden = layer_.hidden;
    for (long i = 0; i < size_; i++) {
      const long to = (rows_.begin + i) * hidden;
      std::memcpy(grads_.h + to, d_h_ + i * padded_, hidden * sizeof(float));
      if (Cell::kHasC) std::memcpy(grads_.c + to, d_c_ + i * padded_, hidden * sizeof(float));
    }
    if (grads_.b == nullptr) return;
    for (long panel = 0; panel < panels_; panel++)
      for (int sum = 0; sum < kSums; sum++) {
        const Columns<Cell> to(hidden, panel, sum);
        const bool is_b_hn = Cell::kHasBHn && sum == 3;
        float* b = is_b_hn ? grads_.b_hn : grads_.b + to.gate * hidden;
        store(b + to.unit, load(d_b_ + panel * kPanel + sum * kWidth), to.size);
      }
  }

  long collect(long step, long count) {
    for (long i = 0; i < size_; i++) {
      const long row = rows_.begin + i;
      if (is_valid(layer_, row, step)) {
        row_steps_[count] = {i, step};
        befores_[count++] = step_before(layer_, row, step);
      } else if (grads_.xs) {
        std::memset(grads_.xs + (row * layer_.steps + step) * layer_.inputs, 0,
                    layer_.inputs * sizeof(float));
      }
    }
    return count;
  }

  void work(long count, long steps) {
    if (count == 0) return;
    for (long k = 0; k < count; k++) {
      float* to = arguments_ + k * stride_;
      std::memcpy(to, layer_.xs + at(k) * layer_.inputs, layer_.inputs * sizeof(float));
      std::memcpy(to + layer_.inputs, h_before(k), layer_.hidden * sizeof(float));
    }
    if (recomputes_) recompute(count);
    for (long k = 0; k < steps; k++) {
      if (ends_[k] == ends_[k + 1]) continue;
      differentiate(ends_[k], ends_[k + 1]);
      // Back and forth: the weights used last are those next.
      for (long j = 0; j < padded_; j += kPanel) {
        const long column = k % 2 ? j : padded_ - kPanel - j;
        w_h_t_.multiply(column, ends_[k], ends_[k + 1], d_sums_, group_, [&](long k) {
          return d_h_ + row_steps_[k].row * padded_ + column;
        });
      }
    }
    if (grads_.b) add_weights(count);
    if (grads_.xs) write_inputs(count);
  }

  // The gates of all steps of the group, where the forward pass did not keep them.
  void recompute(long count) {
    for (long k = 0; k < count; k++) {
      xs_[k] = arguments_ + k * stride_;
      hs_[k] = xs_[k] + layer_.inputs;
    }
    for (long panel = 0; panel < panels_; panel++)
      sums_.add_states(panel, 0, count, xs_, hs_, nullptr, [&](long k, const Vec* sums) {
        const Columns<Cell> to(layer_.hidden, panel, 0);
        Unit unit{};
        Vec stored[kSums];
        Cell::step(sums, stored, unit);
        for (int gate = 0; gate < Cell::kStored; gate++)
          store(gates_ + (k * Cell::kStored + gate) * layer_.hidden + to.unit, stored[gate], to.size);
      });
  }

  void differentiate(long begin, long end) {
    for (long panel = 0; panel < panels_; panel++)
      for (long k = begin; k < end; k++)
        for (int n = 0; n < Cell::kUnits; n++) {
          const Columns<Cell> from(layer_.hidden, panel, n);
          if (from.size <= 0) {
            store(d_sums(panel, k) + n * kWidth, Vec{});
            continue;
          }
          const long state = row_steps_[k].row * padded_ + from.unit;
          const long y = at(k) * out_.y_stride + from.unit;
          Vec stored[kSums], d[4];
          for (int gate = 0; gate < Cell::kStored; gate++)
            stored[gate] = load(gates(k) + gate * layer_.hidden + from.unit, from.size);
          Unit before{Vec{}, load(h_before(k) + from.unit, from.size)};
          Unit d_unit{Vec{}, load(d_h_ + state) + load(d_out_.ys + y, from.size)};
          if (Cell::kHasC) {
            before.c = load(c_before(k) + from.unit, from.size);
            d_unit.c = load(d_c_ + state);
          }
          Cell::step_back(stored, before, load(out_.ys + y, from.size), d, d_unit);
          store(d_h_ + state, d_unit.h);
          if (Cell::kHasC) store(d_c_ + state, d_unit.c);
          for (int sum = 0; sum < kSums / Cell::kUnits; sum++)
            store(d_sums(panel, k) + (n + sum) * kWidth, d[sum]);
        }
  }

  void add_weights(long count) {
    for (long panel = 0; panel < panels_; panel++) {
      const Products products{panel, count, layer_.hidden, stride_, d_sums(panel, 0)};
      products.add<Cell, Cell::kXFirst, Cell::kX>(arguments_, layer_.inputs, grads_.w_x);
      products.add<Cell, Cell::kHFirst, Cell::kH>(arguments_ + layer_.inputs, layer_.hidden,
                                                  grads_.w_h);
      Vec sums[kSums];
      for (int n = 0; n < kSums; n++) sums[n] = load(d_b_ + panel * kPanel + n * kWidth);
      for (long k = 0; k < count; k++)
        for (int n = 0; n < kSums; n++) sums[n] += load(d_sums(panel, k) + n * kWidth);
      for (int n = 0; n < kSums; n++) store(d_b_ + panel * kPanel + n * kWidth, sums[n]);
    }
  }

  void write_inputs(long count) const {
    for (long column = 0; column < layer_.inputs; column += kPanel) {
      std::memset(d_xs_, 0, count * kPanel * sizeof(float));
      w_x_t_.multiply(column, 0, count, d_sums_, group_,
                      [&](long k) { return d_xs_ + k * kPanel; });
      const long size = smaller(kPanel, layer_.inputs - column) * sizeof(float);
      for (long k = 0; k < count; k++)
        std::memcpy(grads_.xs + at(k) * layer_.inputs + column, d_xs_ + k * kPanel, size);
    }
  }

  long at(long k) const { return (rows_.begin + row_steps_[k].row) * layer_.steps + row_steps_[k].step; }

  const float* before(long k, const float* initial, const float* all, long stride) const {
    const long row = rows_.begin + row_steps_[k].row;
    return befores_[k] < 0 ? initial + row * layer_.hidden
                           : all + (row * layer_.steps + befores_[k]) * stride;
  }
  const float* h_before(long k) const { return before(k, layer_.h, out_.ys, out_.y_stride); }
  const float* c_before(long k) const { return before(k, layer_.c, out_.cs, layer_.hidden); }
  const float* gates(long k) const {
    return recomputes_ ? gates_ + k * Cell::kStored * layer_.hidden
                       : out_.gates + at(k) * Cell::kStored * layer_.hidden;
  }
  float* d_sums(long panel, long k) const { return d_sums_ + (panel * group_ + k) * kPanel; }

  const Layer& layer_;
  const Outputs& out_;
  const Cotangents& d_out_;
  const Gradients& grads_;
  const Rows rows_;
  const long size_, group_, panels_, padded_, stride_;
  const bool recomputes_;
  const Sums<Cell> sums_;
  const Transposed<Cell, Cell::kHFirst, Cell::kH> w_h_t_;
  const Transposed<Cell, Cell::kXFirst, Cell::kX> w_x_t_;
  const Array<float> d_h_, d_c_;  // [size, padded]
  const Array<float> d_sums_;     // [panels, group, kPanel]
  const Array<float> d_b_;        // [panels, kPanel]
  const Array<RowStep> row_steps_;
  const Array<long> befores_, ends_;
  const Array<float> arguments_;  // [group, stride]: x and h before
  const Array<float> d_xs_;       // [group, kPanel]
  const Array<const float*> xs_, hs_;
  const Array<float> gates_;      // [group, stored, hidden], if they are computed again
};

template <class Cell>
void backward(const Layer& layer, const Outputs& out, const Cotangents& d_out,
              const Gradients& grads, Rows rows) {
  Backward<Cell>(layer, out, d_out, grads, rows).run();
}

}  // namespace birnn::BIRNN_ISA
