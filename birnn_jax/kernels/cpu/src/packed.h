// The weights of a layer, packed once for many calls, in one array: a header that says of what and for
// which vectors, then the panels of w_x, w_h and the second matrix.
#pragma once

#include "cells.h"
#include "layer.h"
#include "weights.h"

namespace birnn::BIRNN_ISA {

template <class Cell>
Matrix matrix_of_x(const Layer& layer) {
  return {layer.w_x, layer.inputs, layer.hidden, Cell::kGates * layer.hidden};
}

template <class Cell>
Matrix matrix_of_h(const Layer& layer) {
  if constexpr (Cell::kH > 0)
    return {layer.w_h, layer.head, layer.hidden, Cell::kGates * layer.hidden, layer.head != layer.states};
  else
    return {};
}

// Whether the second stage of a cell is a product.
template <class Cell>
constexpr bool kMultipliesTwice = Cell::kIsTwo && !Cell::kSecondNorms;

// That of a cell which has one, otherwise nothing.
template <class Cell>
Matrix second_matrix(const Layer& layer) {
  if constexpr (kMultipliesTwice<Cell>)
    return Cell::second_matrix(layer);
  else
    return {};
}

template <class Cell>
class PackedLayer {
 public:
  // Panels are null where the array is not of this layer and these vectors.
  explicit PackedLayer(const Layer& layer) : ends_(layer), from_(layer.packed) {
    if (from_ && std::memcmp(from_, Header(layer).words, sizeof(Header)) != 0) from_ = nullptr;
  }

  const Scalar* x() const { return from_ ? from_ + kHeader : nullptr; }
  const Scalar* h() const { return from_ ? from_ + ends_.x : nullptr; }
  const Scalar* second() const { return from_ ? from_ + ends_.h : nullptr; }

  static long size(const Layer& layer) { return Ends(layer).second; }

  static void pack(const Layer& layer, Scalar* out) {
    const Header header(layer);
    const Ends ends(layer);
    std::memset(out, 0, ends.second * sizeof(Scalar));
    std::memcpy(out, header.words, sizeof header);
    OfX::pack(Cell::kLayout, matrix_of_x<Cell>(layer), out + kHeader);
    OfH::pack(Cell::kLayout, matrix_of_h<Cell>(layer), out + ends.x);
    OfSecond::pack(kPlain, second_matrix<Cell>(layer), out + ends.h);
  }

 private:
  using OfX = Weights<Cell::kXFirst, Cell::kX>;
  using OfH = Weights<Cell::kHFirst, Cell::kH>;
  using OfSecond = Weights<0, kSums>;
  static constexpr long kHeader = 16;  // floats, a line of the cache

  // Numbers that floats hold exactly. What packs otherwise has another version.
  struct Header {
    Scalar words[kHeader];
    explicit Header(const Layer& layer)
        : words{1, kWidth, Cell::kGates, Cell::kXFirst, Cell::kX, Cell::kHFirst, Cell::kH,
                kMultipliesTwice<Cell>, Scalar(Cell::kLayout.units), Scalar(Cell::kLayout.gates[0]),
                Scalar(layer.inputs), Scalar(layer.hidden), Scalar(layer.states), Scalar(layer.head)} {}
  };

  // Where the panels of each matrix end, in whole lines of the cache.
  struct Ends {
    long x, h, second;
    explicit Ends(const Layer& layer)
        : x(kHeader + round_up(OfX::size(Cell::kLayout, matrix_of_x<Cell>(layer)), kHeader)),
          h(x + round_up(OfH::size(Cell::kLayout, matrix_of_h<Cell>(layer)), kHeader)),
          second(h + round_up(OfSecond::size(kPlain, second_matrix<Cell>(layer)), kHeader)) {}
  };

  const Ends ends_;
  const Scalar* from_;
};

template <class Cell>
long packed_size(const Layer& layer) {
  return PackedLayer<Cell>::size(layer);
}

template <class Cell>
void pack(const Layer& layer, Scalar* out) {
  PackedLayer<Cell>::pack(layer, out);
}

}  // namespace birnn::BIRNN_ISA
