// The way back through layer normalisation, and the gradients of its weights.
#pragma once

#include "steps.h"

namespace birnn::BIRNN_ISA {

template <class Cell>
class NormGradients {
 public:
  explicit NormGradients(const Layer& layer)
      : panels_(Cell::kIsNormed ? Cell::kLayout.count_panels(layer.hidden) : 0),
        panels_2_(Cell::kSecondNorms ? kPlain.count_panels(layer.hidden) : 0),
        scale_x_(panels_ * kPanel),
        scale_h_(panels_ * kPanel),
        scale_c_(panels_2_ * kPanel),
        shift_c_(panels_2_ * kPanel) {
    std::memset(scale_x_, 0, panels_ * kPanel * sizeof(Scalar));
    std::memset(scale_h_, 0, panels_ * kPanel * sizeof(Scalar));
    std::memset(scale_c_, 0, panels_2_ * kPanel * sizeof(Scalar));
    std::memset(shift_c_, 0, panels_2_ * kPanel * sizeof(Scalar));
  }

  // From the derivatives by the sums of step k, a row with d_sums first, to those by both products,
  // which take the place of what was normalised.
  void differentiate(const Steps<Cell>& steps, long k, const Scalar* d_sums) const {
    const long stride = steps.panel_stride();
    const auto& inverses = steps.inverses(k);
    steps.norms().x.differentiate(steps.of_x(k), stride, inverses.x, d_sums, stride, scale_x_,
                                  steps.of_x(k));
    steps.norms().h.differentiate(steps.of_h(k), stride, inverses.h, d_sums, stride, scale_h_,
                                  steps.of_h(k));
  }

  // What `second` was given.
  BIRNN_INLINE Vec second_sum(const Norms<Cell>& norms, const Scalar* value, long panel, int n) const {
    const long at = panel * kPanel + n * kWidth;
    return load(value + at) * norms.c.scale(panel, n) + load(norms.shift_c + at);
  }

  BIRNN_INLINE void add_shift(long panel, int n, Vec d_sum) const {
    Scalar* shift = shift_c_ + panel * kPanel + n * kWidth;
    store(shift, load(shift) + d_sum);
  }

  // From the derivatives by the sums of `second` to those by what `step` left.
  void differentiate_second(const Steps<Cell>& steps, long k, const Scalar* d_sums,
                            Scalar* d_values) const {
    steps.norms().c.differentiate(steps.value(k), kPanel, steps.inverses(k).c, d_sums,
                                  steps.panel_stride(), scale_c_, d_values);
  }

  void write(const Norms<Cell>& norms, NormWeights<Scalar> to) const {
    norms.x.unpack(scale_x_, to.scale_x);
    norms.h.unpack(scale_h_, to.scale_h);
    norms.c.unpack(scale_c_, to.scale_c);
    norms.c.unpack(shift_c_, to.shift_c);
  }

 private:
  const long panels_, panels_2_;
  const Array<Scalar> scale_x_, scale_h_, scale_c_, shift_c_;  // [panels, kPanel]
};

}  // namespace birnn::BIRNN_ISA
