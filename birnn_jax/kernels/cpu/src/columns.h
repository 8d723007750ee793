// Where the columns of a weight matrix stand among the sums of a panel.
//
// Work is cut into panels of kWidth hidden units, or kSums times as many. A row has kSums vectors of sums there.
// The input adds to the kX vectors from kXFirst on, the state to the kH vectors from kHFirst on.
#pragma once

#include "vector.h"

namespace birnn::BIRNN_ISA {

// A weight matrix of so many rows, of which each gate has `hidden` columns.
struct Matrix {
  const Scalar* w;
  long rows, hidden, stride;  // stride from one row to the next
};

// Which gate each sum of a panel is of, and how many of kWidth units beside one another are in it.
// A value, not a type: the products are compiled once for all cells.
struct Layout {
  int units, gates[kSums];

  constexpr long count_panels(long hidden) const {
    return (hidden + units * kWidth - 1) / (units * kWidth);
  }
};

// The sums of a plain product: kPanel columns.
constexpr Layout kPlain{kSums, {0, 0, 0, 0}};

// Where sum number `sum` of panel `panel` stands among the columns [G*H] of the weights.
struct Columns {
  long gate, unit, size;  // gate, its first unit, how many of kWidth units there are

  BIRNN_INLINE Columns(Layout layout, long hidden, long panel, int sum)
      : gate(layout.gates[sum]), unit((panel * layout.units + sum % layout.units) * kWidth) {
    size = hidden - unit < kWidth ? hidden - unit : kWidth;
  }
};

}  // namespace birnn::BIRNN_ISA
