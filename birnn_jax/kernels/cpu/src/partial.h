// Sums of weight gradients.
#pragma once

#include <vector>

#include "layer.h"

namespace birnn {

// Weight gradients of one task but the first, which has the results themselves.
template <class Scalar>
struct Partial {
  std::vector<Scalar> w_x, w_h, b, extra;

  Gradients<Scalar> begin(long gates, const Layer<Scalar>& layer, Gradients<Scalar> grads) {
    w_x.resize(layer.inputs * gates * layer.hidden);
    w_h.resize(layer.w_h_size);
    b.resize(gates * layer.hidden);
    extra.resize(layer.extra_size);
    grads.w_x = w_x.data(), grads.w_h = w_h.data(), grads.b = b.data(), grads.extra = extra.data();
    return grads;
  }

  void add_to(const Gradients<Scalar>& grads) const {
    add(w_x, grads.w_x);
    add(w_h, grads.w_h);
    add(b, grads.b);
    add(extra, grads.extra);
  }

 private:
  static void add(const std::vector<Scalar>& from, Scalar* to) {
    for (std::size_t k = 0; k < from.size(); k++) to[k] += from[k];
  }
};

}  // namespace birnn
