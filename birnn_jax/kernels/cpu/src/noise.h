// What noise does to a step: its masks are arrays by now, see draw.h.
#pragma once

#include "cells.h"

namespace birnn::BIRNN_ISA {

// The part of the old state in the new one.
BIRNN_INLINE Vec part_kept(const Zone& zone, long at, long size) {
  if (zone.kept == nullptr) return broadcast(Scalar(zone.rate));
  return select(load_flags(zone.kept + at, size), broadcast(1), Vec{});
}

// A state after zoneout; what is kept is kept to the last bit.
BIRNN_INLINE Vec zoned(const Zone& zone, long at, long size, Vec before, Vec after) {
  if (zone.kept) return select(load_flags(zone.kept + at, size), before, after);
  const Scalar rate = Scalar(zone.rate);
  return rate == 0 ? after : rate * before + (1 - rate) * after;
}

inline bool has_zone(const Zone& zone) { return zone.kept || zone.rate != 0; }

// Of `size` units from `unit` on, in step number `at` of all rows; h as the gates see it.
template <class Cell>
BIRNN_INLINE Beside load_beside(const Layer& layer, long at, long unit, long size, Vec h) {
  Beside beside;
  beside.h = h;
  beside.candidate = broadcast(1);
  if (layer.candidate)
    beside.candidate = select(load_flags(layer.candidate + at * layer.hidden + unit, size),
                              broadcast(layer.candidate_scale), Vec{});
  if constexpr (Cell::kDiagonals > 0)
    for (int n = 0; n < Cell::kDiagonals; n++)
      beside.w[n] = load(Cell::diagonal(layer, layer.hidden, n) + unit, size);
  return beside;
}

// h[j] *= seen[j]
BIRNN_INLINE void multiply_by(const Scalar* seen, long size, Scalar* h) {
  for (long j = 0; j < size; j++) h[j] *= seen[j];
}

}  // namespace birnn::BIRNN_ISA
