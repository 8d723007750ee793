// Sums of weight gradients.
#pragma once

#include <vector>

#include "layer.h"

namespace birnn {

// Weight gradients of one task but the first, which has the results themselves.
struct Partial {
  std::vector<float> w_x, w_h, b, extra;

  Gradients begin(long gates, const Layer& layer, Gradients grads) {
    w_x.resize(layer.inputs * gates * layer.hidden);
    w_h.resize(layer.w_h_size);
    b.resize(gates * layer.hidden);
    extra.resize(layer.extra_size);
    grads.w_x = w_x.data(), grads.w_h = w_h.data(), grads.b = b.data(), grads.extra = extra.data();
    return grads;
  }

  void add_to(const Gradients& grads) const {
    add(w_x, grads.w_x);
    add(w_h, grads.w_h);
    add(b, grads.b);
    add(extra, grads.extra);
  }

 private:
  static void add(const std::vector<float>& from, float* to) {
    for (std::size_t k = 0; k < from.size(); k++) to[k] += from[k];
  }
};

}  // namespace birnn
