// The buffers of a call: their types, which XLA checks, and the order in which they are read.
//
//   forward   arguments  for each direction: its layer, packed
//             results    ys, and for each direction: its carry, cs, gates
//   backward  arguments  ys, d_ys, and for each direction: its layer, cs, gates, its carry
//             results    for each direction: its parameters, its carry, xs, its carry of starts
//
//   layer       parameters, carry, xs, valid, starts, carry of starts, seen, candidate, zone_c, zone_h
//   parameters  w_x, w_h, b, extra, as in layer.h
//   carry       c, h
//   packed      the parameters as `birnn_pack` returns them, or nothing
//
// With weights of 8 bits, w_x and w_h are of that type, and after the layer come packed (of
// `birnn_pack_bytes`) and the scales of the columns of w_x and w_h.
//
// They are the same for all cells, whose name is an attribute. An array without elements is one
// that is not there: what a cell has not, no mask, nothing stored, a gradient that is not wanted.
// call.py is the other side.
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

template <class Scalar>
constexpr ffi::DataType kTypeOf = sizeof(Scalar) == 8 ? ffi::F64 : ffi::F32;
template <class Scalar, std::size_t rank>
using Numbers = ffi::Buffer<kTypeOf<Scalar>, rank>;
template <std::size_t rank>
using Flags = ffi::Buffer<ffi::PRED, rank>;

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

template <int directions, class L>
using Each = std::conditional_t<directions == 2, Join<L, L>, L>;

template <class Scalar>
using Params = List<Numbers<Scalar, 2>, Numbers<Scalar, 2>, Numbers<Scalar, 1>, Numbers<Scalar, 1>>;
template <class Scalar>
using Carry = List<Numbers<Scalar, 2>, Numbers<Scalar, 2>>;
template <class Scalar>
using RowArgs = Join<Carry<Scalar>, List<Numbers<Scalar, 3>, Flags<2>, Flags<2>>, Carry<Scalar>,
                     List<Numbers<Scalar, 2>, Flags<3>, Flags<3>, Flags<3>>>;
template <class Scalar>
using LayerArgs = Join<Params<Scalar>, RowArgs<Scalar>>;
template <std::size_t rank>
using Whole = ffi::Buffer<ffi::S8, rank>;
using ByteLayerArgs = Join<List<Whole<2>, Whole<2>, Numbers<float, 1>, Numbers<float, 1>>, RowArgs<float>,
                           List<Whole<1>, Numbers<float, 1>, Numbers<float, 1>>>;
template <class Scalar>
using Stored = List<Numbers<Scalar, 3>, Numbers<Scalar, 3>>;

template <class Scalar, int directions>
struct ForwardTypes {
  using Args = Each<directions, Join<LayerArgs<Scalar>, List<Numbers<Scalar, 1>>>>;
  using Rets = Join<List<Numbers<Scalar, 3>>, Each<directions, Join<Carry<Scalar>, Stored<Scalar>>>>;
};

template <class Scalar, int directions>
struct ByteForwardTypes {
  using Args = Each<directions, ByteLayerArgs>;
  using Rets = typename ForwardTypes<Scalar, directions>::Rets;
};

template <class Scalar, int directions>
struct BackwardTypes {
  using Args = Join<List<Numbers<Scalar, 3>, Numbers<Scalar, 3>>, Each<directions, Join<LayerArgs<Scalar>, Stored<Scalar>, Carry<Scalar>>>>;
  using Rets = Each<directions, Join<Params<Scalar>, Carry<Scalar>, List<Numbers<Scalar, 3>>, Carry<Scalar>>>;
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
  long size;
};

template <ffi::DataType dtype, std::size_t rank>
View view(const ffi::Buffer<dtype, rank>& buffer) {
  return {buffer.untyped_data(), buffer.dimensions(), static_cast<long>(buffer.element_count())};
}

template <ffi::DataType dtype, std::size_t rank>
View view(ffi::Result<ffi::Buffer<dtype, rank>>& result) {
  advise(result->untyped_data(), result->size_bytes());
  return view(*result);
}

// Its elements, null if there are none.
template <class T>
T* get(const View& view) {
  return view.size == 0 ? nullptr : static_cast<T*>(view.data);
}

// Reads views in their order.
class Views {
 public:
  explicit Views(const View* first) : next_(first) {}

  const View& next() { return *next_++; }
  template <class Scalar>
  Scalar* numbers() {
    return get<Scalar>(next());
  }
  const bool* flags() { return get<const bool>(next()); }

 private:
  const View* next_;
};

}  // namespace birnn
