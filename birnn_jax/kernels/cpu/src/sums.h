// The sums before the nonlinearities.
#pragma once

#include "cells.h"
#include "layer.h"
#include "packed.h"

namespace birnn::BIRNN_ISA {

// Calls product(first, count, sums) for some rows at a time from begin to end, whose sums of a panel stay in the nearest
// cache, and finish(k, sums) for each of them.
template <class Product, class Finish>
BIRNN_INLINE void for_rows(long begin, long end, Product product, Finish finish) {
  constexpr long kMost = kPart == kSums ? kTileRows : 8 * kTileRows;
  const auto run = [&](long first, auto count, Scalar* acc) {
    product(first, count, acc);
    for (long k = 0; k < count; k++) {
      Vec sums[kSums];
      for (int n = 0; n < kSums; n++) sums[n] = load(acc + k * kPanel + n * kWidth);
      finish(first + k, sums);
    }
  };
  alignas(64) Scalar acc[kMost * kPanel];
  // The sums of a single row stay in registers.
  if (end - begin == 1) return run(begin, One(), acc);
  for (long chunks = (end - begin + kMost - 1) / kMost, first = begin; chunks > 0; chunks--) {
    const long count = (end - first + chunks - 1) / chunks;
    run(first, count, acc);
    first += count;
  }
}

template <class Cell>
void pack_bias(const Layer& layer, long panel, Scalar* out) {
  std::memset(out, 0, kPanel * sizeof(Scalar));
  for (int sum = 0; sum < Cell::kCount; sum++) {
    const Columns from(Cell::kLayout, layer.hidden, panel, sum);
    const bool is_b_hn = Cell::kHasBHn && sum == 3;
    const Scalar* b = is_b_hn ? layer.extra : layer.b + from.gate * layer.hidden;
    store(out + sum * kWidth, load(b + from.unit, from.size));
  }
}

template <class Cell>
class Sums {
 public:
  using Packed = PackedLayer<Cell>;

  // How often each weight of the input and of the state is going to be read: 0 for never. So many
  // rows at most are seen at a time.
  Sums(const Layer& layer, const Packed& packed, long reads_x, long reads_h, long rows)
      : panels_(reads_h ? Cell::kLayout.count_panels(layer.hidden) : 0),
        b_(panels_ * kPanel),
        w_x_(Cell::kLayout, matrix_of_x<Cell>(layer), reads_x, packed.x()),
        w_h_(Cell::kLayout, matrix_of_h<Cell>(layer), reads_h, packed.h()) {
    static_cast<void>(rows);
    for (long panel = 0; panel < panels_; panel++) pack_bias<Cell>(layer, panel, b_ + panel * kPanel);
  }
  long panels() const { return panels_; }
  const Scalar* bias() const { return b_; }  // [panels, kPanel]

  // Called before inputs and states are added: the rows from the first one, or from begin to end.
  void see_inputs(long, const Scalar* const*) {}
  void see_states(long, long, const Scalar* const*) {}

  // sums[k] for k from begin to end: the bias, and what the input xs[k] adds. Without the bias, if
  // the product is to be normalised.
  void add_inputs(long panel, long begin, long end, const Scalar* const* xs, Scalar* sums) const {
    start(panel, end - begin, xs + begin, sums + begin * kPanel);
  }

  // Hands to finish(k, sums) what the input xs[k] and the state hs[k] add.
  template <class Finish>
  BIRNN_INLINE void add_states(long panel, long begin, long end, const Scalar* const* xs,
                               const Scalar* const* hs, Finish finish) const {
    for_rows(begin, end, [&](long first, auto count, Scalar* acc) {
      start(panel, count, xs + first, acc);
      if constexpr (Cell::kH > 0) w_h_.multiply(panel, count, hs + first, acc);
    }, finish);
  }

  // sums[k] += what the state hs[k] adds.
  void add_states(long panel, long begin, long end, const Scalar* const* hs, Scalar* sums) const {
    if constexpr (Cell::kH > 0) {
      if (end - begin == 1)
        w_h_.multiply(panel, One(), hs + begin, sums + begin * kPanel);
      else
        w_h_.multiply(panel, end - begin, hs + begin, sums + begin * kPanel);
    }
  }

  // The same of what the state adds alone.
  void multiply_states(long panel, long begin, long end, const Scalar* const* hs, Scalar* sums) const {
    std::memset(sums + begin * kPanel, 0, (end - begin) * kPanel * sizeof(Scalar));
    w_h_.multiply(panel, end - begin, hs + begin, sums + begin * kPanel);
  }

 private:
  template <class Count>
  BIRNN_INLINE void start(long panel, Count count, const Scalar* const* xs, Scalar* sums) const {
    for (long k = 0; k < count; k++)
      for (int n = 0; n < kSums; n++)
        store(sums + k * kPanel + n * kWidth,
              Cell::kIsNormed ? Vec{} : load(b_ + panel * kPanel + n * kWidth));
    w_x_.multiply(panel, count, xs, sums);
  }

  const long panels_;
  const Array<Scalar> b_;
  const Weights<Cell::kXFirst, Cell::kX> w_x_;
  const Weights<Cell::kHFirst, Cell::kH> w_h_;
};

// Hands to finish(panel, k, sums) the product of rows[k] with the matrix, of `columns` columns.
template <class Finish>
BIRNN_INLINE void multiply_plain(const Weights<0, kSums>& matrix, long columns,
                                 long begin, long end, const Scalar* const* rows, Finish finish) {
  for (long panel = 0; panel < kPlain.count_panels(columns); panel++)
    for_rows(begin, end, [&](long first, auto count, Scalar* acc) {
      std::memset(acc, 0, count * kPanel * sizeof(Scalar));
      matrix.multiply(panel, count, rows + first, acc);
    }, [&](long k, const Vec* sums) { finish(panel, k, sums); });
}

}  // namespace birnn::BIRNN_ISA
