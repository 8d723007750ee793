// The sums before the nonlinearities, of weights of 8 bits: what Sums is for floats.
#pragma once

#include "byte_weights.h"
#include "sums.h"

namespace birnn::BIRNN_ISA {

template <class Cell>
ByteMatrix byte_matrix_of_x(const Layer& layer) {
  return {layer.bytes.w_x, layer.bytes.scales_x, layer.inputs, layer.hidden,
          Cell::kGates * layer.hidden};
}

template <class Cell>
ByteMatrix byte_matrix_of_h(const Layer& layer) {
  return {layer.bytes.w_h, layer.bytes.scales_h, layer.states, layer.hidden,
          Cell::kGates * layer.hidden};
}

// What PackedLayer is for floats.
template <class Cell>
class PackedBytes {
 public:
  explicit PackedBytes(const Layer& layer)
      : from_(layer.bytes.packed), x_end_(end_of_x(layer)) {
    if (from_ && std::memcmp(from_, Header(layer).words, sizeof(Header)) != 0) from_ = nullptr;
  }

  const std::int8_t* x() const { return from_ ? from_ + sizeof(Header) : nullptr; }
  const std::int8_t* h() const { return from_ ? from_ + x_end_ : nullptr; }
  const float* second() const { return nullptr; }

  static long size(const Layer& layer) {
    return end_of_x(layer) + OfH::size(Cell::kLayout, byte_matrix_of_h<Cell>(layer));
  }

  static void pack(const Layer& layer, std::int8_t* out) {
    const Header header(layer);
    std::memcpy(out, header.words, sizeof header);
    OfX::pack(Cell::kLayout, byte_matrix_of_x<Cell>(layer), out + sizeof header);
    OfH::pack(Cell::kLayout, byte_matrix_of_h<Cell>(layer), out + end_of_x(layer));
  }

  using OfX = ByteWeights<Cell::kXFirst, Cell::kX>;
  using OfH = ByteWeights<Cell::kHFirst, Cell::kH>;

 private:
  struct Header {
    std::int32_t words[16];
    explicit Header(const Layer& layer)
        : words{2, kWidth, kDepth, kBlock, kOffset, Cell::kGates, Cell::kXFirst, Cell::kX, Cell::kHFirst,
                Cell::kH, std::int32_t(layer.inputs), std::int32_t(layer.hidden),
                std::int32_t(layer.states)} {}
  };

  static long end_of_x(const Layer& layer) {
    return sizeof(Header) + OfX::size(Cell::kLayout, byte_matrix_of_x<Cell>(layer));
  }

  const std::int8_t* from_;
  const long x_end_;
};

template <class Cell>
class ByteSums {
 public:
  using Packed = PackedBytes<Cell>;

  ByteSums(const Layer& layer, const Packed& packed, long, long, long rows)
      : panels_(Cell::kLayout.count_panels(layer.hidden)),
        b_(panels_ * kPanel),
        w_x_(Cell::kLayout, byte_matrix_of_x<Cell>(layer), packed.x()),
        w_h_(Cell::kLayout, byte_matrix_of_h<Cell>(layer), packed.h()),
        xs_(rows, layer.inputs),
        hs_(rows, layer.states) {
    for (long panel = 0; panel < panels_; panel++) pack_bias<Cell>(layer, panel, b_ + panel * kPanel);
  }

  long panels() const { return panels_; }

  void see_inputs(long count, const float* const* xs) {
    for (long k = 0; k < count; k++) xs_.read(k, xs[k]);
  }
  void see_states(long begin, long end, const float* const* hs) {
    for (long k = begin; k < end; k++) hs_.read(k, hs[k]);
  }

  void add_inputs(long panel, long begin, long end, const float* const*, float* sums) const {
    start(panel, end - begin, begin, sums + begin * kPanel);
  }

  template <class Finish>
  BIRNN_INLINE void add_states(long panel, long begin, long end, const float* const*,
                               const float* const*, Finish finish) const {
    for_rows(begin, end, [&](long first, auto count, float* acc) {
      start(panel, count, first, acc);
      w_h_.multiply(panel, count, hs_, first, acc);
    }, finish);
  }

  void add_states(long panel, long begin, long end, const float* const*, float* sums) const {
    if (end - begin == 1)
      w_h_.multiply(panel, One(), hs_, begin, sums + begin * kPanel);
    else
      w_h_.multiply(panel, end - begin, hs_, begin, sums + begin * kPanel);
  }

 private:
  template <class Count>
  BIRNN_INLINE void start(long panel, Count count, long first, float* sums) const {
    for (long k = 0; k < count; k++)
      for (int n = 0; n < kSums; n++)
        store(sums + k * kPanel + n * kWidth, load(b_ + panel * kPanel + n * kWidth));
    w_x_.multiply(panel, count, xs_, first, sums);
  }

  const long panels_;
  const Array<float> b_;
  const typename Packed::OfX w_x_;
  const typename Packed::OfH w_h_;
  WholeRows xs_, hs_;
};

}  // namespace birnn::BIRNN_ISA
