// The kernels that the processor can run.
#pragma once

#include "layer.h"

namespace birnn {

// Those that were chosen; the best at first.
template <class Scalar>
const Kernels<Scalar>& get_kernels();

}  // namespace birnn
