// Which steps of which rows are worked on.
#pragma once

#include "layer.h"
#include "vector.h"

namespace birnn::BIRNN_ISA {

// A step of a row that is valid.
struct RowStep {
  long row, step;
};

BIRNN_INLINE bool is_valid(const Layer& layer, long row, long step) {
  return layer.valid == nullptr || layer.valid[row * layer.steps + step];
}

// Whether the state of the row is that of the start of a segment, in place of the one before.
BIRNN_INLINE bool is_start(const Layer& layer, long row, long step) {
  return layer.starts && layer.starts[row * layer.steps + step];
}

// The step of this row that comes before this one in the order of the direction, or -1.
inline long step_before(const Layer& layer, long row, long step) {
  const long ahead = layer.reverse ? 1 : -1;
  do step += ahead;
  while (step >= 0 && step < layer.steps && !is_valid(layer, row, step));
  return step < layer.steps ? step : -1;
}

}  // namespace birnn::BIRNN_ISA
