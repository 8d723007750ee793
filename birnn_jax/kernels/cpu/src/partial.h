// Sums of weight gradients.
#pragma once

#include <vector>

#include "layer.h"

namespace birnn {

// Weight gradients of one task but the first, which has the results themselves.
struct Partial {
  std::vector<float> w_x, w_h, b, b_hn;

  Gradients begin(long gates, const Layer& layer, Gradients grads) {
    const long columns = gates * layer.hidden;
    w_x.resize(layer.inputs * columns);
    w_h.resize(layer.hidden * columns);
    b.resize(columns);
    b_hn.resize(layer.hidden);
    grads.w_x = w_x.data(), grads.w_h = w_h.data(), grads.b = b.data(), grads.b_hn = b_hn.data();
    return grads;
  }

  void add_to(const Gradients& grads) const {
    add(w_x, grads.w_x);
    add(w_h, grads.w_h);
    add(b, grads.b);
    if (grads.b_hn) add(b_hn, grads.b_hn);
  }

 private:
  static void add(const std::vector<float>& from, float* to) {
    for (std::size_t k = 0; k < from.size(); k++) to[k] += from[k];
  }
};

}  // namespace birnn
