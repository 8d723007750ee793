// Where the columns of a weight matrix stand among the sums of a panel.
//
// Work is cut into panels of kWidth hidden units, or kSums times as many. A row has kSums vectors of sums there.
// The input adds to the kX vectors from kXFirst on, the state to the kH vectors from kHFirst on.
#pragma once

#include "vector.h"

namespace birnn::BIRNN_ISA {

// A weight matrix of so many rows, of which each gate has `hidden` columns. With heads it has the blocks of a diagonal
// side by side: the columns of as many units as there are rows are multiplied with those units only.
struct Matrix {
  const Scalar* w;
  long rows, hidden, stride;  // stride from one row to the next
  bool has_heads = false;

  // Which of all units is the first that is multiplied with the columns of this one.
  long first_unit(long unit) const { return has_heads ? unit / rows * rows : 0; }
  // How many units there are to multiply with.
  long units() const { return has_heads ? hidden : rows; }
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
