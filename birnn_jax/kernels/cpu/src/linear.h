// The scan h = a h + b of cells that are linear in their state, and its transpose.
#pragma once

#include "layer.h"
#include "vector.h"

namespace birnn::BIRNN_ISA {

// Which of the steps of a row is the k-th in the order of the direction.
BIRNN_INLINE long place_of(const Linear& scan, long row, long k) {
  return row * scan.steps + (scan.reverse ? scan.steps - 1 - k : k);
}

// kWidth units from `unit` on of one row: a chain of one operation a step, whose state is a register.
inline void scan_units(const Linear& scan, long row, long unit) {
  const long size = scan.units - unit, of_row = row * scan.units + unit;
  Vec h = load(scan.h + of_row, size);
  for (long k = 0; k < scan.steps; k++) {
    const long step = place_of(scan, row, k), at = step * scan.units + unit;
    const bool is_valid = scan.valid == nullptr || scan.valid[step];
    if (is_valid && scan.starts && scan.starts[step]) h = load(scan.start_h + of_row, size);
    if (scan.befores) store(scan.befores + at, is_valid ? h : Vec{}, size);
    if (is_valid) h = load(scan.a + at, size) * h + load(scan.b + at, size);
    store(scan.ys + at, is_valid ? h : Vec{}, size);
  }
  store(scan.last + of_row, h, size);
}

inline void scan_units_back(const LinearBack& back, long row, long unit) {
  const Linear& scan = back.scan;
  const long size = scan.units - unit, of_row = row * scan.units + unit;
  Vec d_h = load(back.d_last + of_row, size), d_start{};
  for (long k = scan.steps - 1; k >= 0; k--) {
    const long step = place_of(scan, row, k), at = step * scan.units + unit;
    if (scan.valid && !scan.valid[step]) {
      store(back.d_b + at, Vec{}, size);
      continue;
    }
    d_h += load(back.d_ys + at, size);
    store(back.d_b + at, d_h, size);
    d_h *= load(scan.a + at, size);
    if (scan.starts && scan.starts[step]) d_start += d_h, d_h = Vec{};
  }
  store(back.d_h + of_row, d_h, size);
  if (back.d_start) store(back.d_start + of_row, d_start, size);
}

inline void scan_linear(const Linear& scan, Rows rows) {
  for (long row = rows.begin; row < rows.end; row++)
    for (long unit = 0; unit < scan.units; unit += kWidth) scan_units(scan, row, unit);
}

inline void scan_linear_back(const LinearBack& back, Rows rows) {
  for (long row = rows.begin; row < rows.end; row++)
    for (long unit = 0; unit < back.scan.units; unit += kWidth) scan_units_back(back, row, unit);
}

}  // namespace birnn::BIRNN_ISA
