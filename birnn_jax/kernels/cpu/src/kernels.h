// The kernels that the processor can run.
#pragma once

#include "layer.h"

namespace birnn {

// Those that were chosen; the best at first.
const Kernels& get_kernels();

}  // namespace birnn
