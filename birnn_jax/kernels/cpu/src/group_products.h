// What follows a group of steps in the backward pass: gradients of weights, biases and inputs.
#pragma once

#include "products.h"
#include "steps.h"
#include "transposed.h"

namespace birnn::BIRNN_ISA {

template <class Cell>
class GroupProducts {
 public:
  GroupProducts(const Layer& layer, const Gradients& grads, const Steps<Cell>& steps, long group)
      : layer_(layer),
        grads_(grads),
        steps_(steps),
        group_(group),
        panels_(Cell::kLayout.count_panels(layer.hidden)),
        w_x_t_(Cell::kLayout, {layer.w_x, grads.xs ? layer.inputs : 0, layer.hidden, columns()}),
        d_w_x_(Cell::kLayout, grads.b ? layer.inputs : 0, layer.hidden),
        d_w_h_(Cell::kLayout, grads.b ? matrix_of_h<Cell>(layer).rows : 0, layer.hidden),
        d_second_(kPlain, grads.b && kMultipliesTwice<Cell> ? layer.hidden : 0, layer.states),
        d_b_(panels_ * kPanel),
        d_xs_(group * kPanel),
        targets_(group) {}

  void begin() {
    std::memset(d_b_, 0, panels_ * kPanel * sizeof(Scalar));
    if (grads_.b == nullptr) return;
    d_w_x_.clear(), d_w_h_.clear(), d_second_.clear();
  }

  // Of `count` steps: derivatives of the sums, of what the input and the state add to them, which
  // differs where that is normalised, and of the sums of the second product; [panels, group, kPanel].
  void add(long count, const Scalar* d_sums, const Scalar* d_of_x, const Scalar* d_of_h,
           const Scalar* d_sums_2) {
    if (grads_.b) {
      add_first(count, d_sums, d_of_x, d_of_h);
      if constexpr (kMultipliesTwice<Cell>) add_second(count, d_sums_2);
    }
    if (grads_.xs) write_inputs(count, d_of_x);
  }

  void end() const {
    if (grads_.b == nullptr) return;
    d_w_x_.write(grads_.w_x, columns());
    if constexpr (Cell::kH > 0) d_w_h_.write(grads_.w_h, columns());
    if constexpr (kMultipliesTwice<Cell>)
      d_second_.write(Cell::second_gradient(layer_, grads_), second_matrix<Cell>(layer_).stride);
    for (long panel = 0; panel < panels_; panel++)
      for (int sum = 0; sum < Cell::kCount; sum++) {
        const Columns to(Cell::kLayout, layer_.hidden, panel, sum);
        const bool is_b_hn = Cell::kHasBHn && sum == 3;
        Scalar* b = is_b_hn ? grads_.extra : grads_.b + to.gate * layer_.hidden;
        store(b + to.unit, load(d_b_ + panel * kPanel + sum * kWidth), to.size);
      }
  }

 private:
  void add_first(long count, const Scalar* all_sums, const Scalar* d_of_x, const Scalar* d_of_h) {
    for (long panel = 0; panel < panels_; panel++) {
      const long at = panel * group_ * kPanel;
      const Scalar* d_sums = all_sums + at;
      d_w_x_.add(panel, count, steps_.x(0), steps_.stride(), d_of_x + at);
      const long unit = panel * Cell::kLayout.units * kWidth;
      const Scalar* seen = steps_.h_seen(0) + matrix_of_h<Cell>(layer_).first_unit(unit);
      d_w_h_.add(panel, count, seen, steps_.stride(), d_of_h + at);
      Vec sums[kSums];
      for (int n = 0; n < kSums; n++) sums[n] = load(d_b_ + panel * kPanel + n * kWidth);
      for (long k = 0; k < count; k++)
        for (int n = 0; n < kSums; n++) sums[n] += load(d_sums + k * kPanel + n * kWidth);
      for (int n = 0; n < kSums; n++) store(d_b_ + panel * kPanel + n * kWidth, sums[n]);
    }
  }

  void add_second(long count, const Scalar* all_sums) {
    for (long panel = 0; panel < kPlain.count_panels(layer_.states); panel++)
      d_second_.add(panel, count, steps_.value(0), steps_.value_stride(),
                    all_sums + panel * group_ * kPanel);
  }

  void write_inputs(long count, const Scalar* d_sums) const {
    for (long column = 0; column < layer_.inputs; column += kPanel) {
      std::memset(d_xs_, 0, count * kPanel * sizeof(Scalar));
      for (long k = 0; k < count; k++) targets_[k] = d_xs_ + k * kPanel;
      w_x_t_.multiply(column, 0, count, d_sums, group_, targets_);
      const long size = smaller(kPanel, layer_.inputs - column) * sizeof(Scalar);
      for (long k = 0; k < count; k++)
        std::memcpy(grads_.xs + steps_.at(k) * layer_.inputs + column, d_xs_ + k * kPanel, size);
    }
  }

  long columns() const { return Cell::kGates * layer_.hidden; }

  const Layer& layer_;
  const Gradients& grads_;
  const Steps<Cell>& steps_;
  const long group_, panels_;
  const Transposed<Cell::kXFirst, Cell::kX> w_x_t_;
  const WeightGradient<Cell::kXFirst, Cell::kX> d_w_x_;
  const WeightGradient<Cell::kHFirst, Cell::kH> d_w_h_;
  const WeightGradient<0, kSums> d_second_;
  const Array<Scalar> d_b_;   // [panels, kPanel]
  const Array<Scalar> d_xs_;  // [group, kPanel]
  const Array<Scalar*> targets_;
};

}  // namespace birnn::BIRNN_ISA
