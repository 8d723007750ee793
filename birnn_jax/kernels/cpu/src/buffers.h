// The buffers of a call: their types, which XLA checks, and the order in which they are read.
//
//   forward   arguments  for each direction: w_x, w_h, b, (b_hn), (c), h, xs, valid
//             results    ys, and for each direction: (c), h, (cs), (gates)
//   backward  arguments  ys, d_ys, and for each direction: those of forward, (cs), (gates), (d_c), d_h
//             results    for each direction: w_x, w_h, b, (b_hn), (c), h, xs
//
// In brackets: where the cell has it. An array without elements is one that is not there: no mask,
// nothing stored, a gradient that is not wanted. call.py is the other side.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "layer.h"
#include "xla/ffi/api/ffi.h"

namespace birnn {

namespace ffi = xla::ffi;

template <std::size_t rank>
using Floats = ffi::Buffer<ffi::F32, rank>;
using Flags = ffi::Buffer<ffi::PRED, 2>;

// Lists of types.
template <class...>
struct List {};

template <class... Lists>
struct Concat {
  using type = List<>;
};
template <class... Ts>
struct Concat<List<Ts...>> {
  using type = List<Ts...>;
};
template <class... Ts, class... Us, class... Lists>
struct Concat<List<Ts...>, List<Us...>, Lists...> : Concat<List<Ts..., Us...>, Lists...> {};
template <class... Lists>
using Join = typename Concat<Lists...>::type;

template <bool is_there, class T>
using If = std::conditional_t<is_there, List<T>, List<>>;
template <int directions, class L>
using Each = std::conditional_t<directions == 2, Join<L, L>, L>;

// What the buffers of one direction are.
template <class Cell>
using Params = Join<List<Floats<2>, Floats<2>, Floats<1>>, If<Cell::kHasBHn, Floats<1>>>;
template <class Cell>
using Carry = Join<If<Cell::kHasC, Floats<2>>, List<Floats<2>>>;
template <class Cell>
using LayerArgs = Join<Params<Cell>, Carry<Cell>, List<Floats<3>, Flags>>;
template <class Cell>
using Stored = Join<If<Cell::kHasC, Floats<3>>, If<(Cell::kStored > 0), Floats<3>>>;

template <class Cell, int directions>
struct ForwardTypes {
  using Args = Each<directions, LayerArgs<Cell>>;
  using Rets = Join<List<Floats<3>>, Each<directions, Join<Carry<Cell>, Stored<Cell>>>>;
};

template <class Cell, int directions>
struct BackwardTypes {
  using Args = Join<List<Floats<3>, Floats<3>>,
                    Each<directions, Join<LayerArgs<Cell>, Stored<Cell>, Carry<Cell>>>>;
  using Rets = Each<directions, Join<Params<Cell>, Carry<Cell>, List<Floats<3>>>>;
};

template <class Binding, class T, class... Ts>
auto add_rets(Binding&& binding, List<T, Ts...>) {
  if constexpr (sizeof...(Ts) == 0)
    return std::move(binding).template Ret<T>();
  else
    return add_rets(std::move(binding).template Ret<T>(), List<Ts...>());
}

template <class Binding, class Rets, class T, class... Ts>
auto add_args(Binding&& binding, List<T, Ts...>, Rets rets) {
  if constexpr (sizeof...(Ts) == 0)
    return add_rets(std::move(binding).template Arg<T>(), rets);
  else
    return add_args(std::move(binding).template Arg<T>(), List<Ts...>(), rets);
}

template <class Types, class Binding>
auto add_buffers(Binding&& binding) {
  return add_args(std::move(binding), typename Types::Args(), typename Types::Rets());
}

// XLA takes the memory of large arrays from the system anew for every execution. Huge pages, where
// the system grants them on request, save most of the page faults, a third of a training step.
inline void advise(void* data, std::size_t size) {
#if defined(__linux__)
  constexpr std::uintptr_t kPage = 4096, kLarge = 1 << 22;
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const auto end = (reinterpret_cast<std::uintptr_t>(data) + size) / kPage * kPage;
  if (end >= begin + kLarge) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  static_cast<void>(data), static_cast<void>(size);
#endif
}

// A buffer whose type was checked.
struct View {
  void* data;
  ffi::Span<const std::int64_t> shape;
  bool is_empty;
};

template <ffi::DataType dtype, std::size_t rank>
View view(const ffi::Buffer<dtype, rank>& buffer) {
  return {buffer.untyped_data(), buffer.dimensions(), buffer.element_count() == 0};
}

template <std::size_t rank>
View view(ffi::Result<Floats<rank>>& result) {
  advise(result->untyped_data(), result->size_bytes());
  return view(*result);
}

// Reads views in their order.
class Views {
 public:
  explicit Views(const View* first) : next_(first) {}

  const View& next() { return *next_++; }
  float* floats() { return static_cast<float*>(next().data); }
  float* floats_or_null() {
    const View& view = next();
    return view.is_empty ? nullptr : static_cast<float*>(view.data);
  }
  const bool* flags_or_null() {
    const View& view = next();
    return view.is_empty ? nullptr : static_cast<const bool*>(view.data);
  }

 private:
  const View* next_;
};

}  // namespace birnn
