// The buffers of a call: their types, which are checked, and the order in which they are read.
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
#include <initializer_list>
#include <vector>

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
template <std::size_t rank>
using Whole = ffi::Buffer<ffi::S8, rank>;

// The types of many buffers are values: as parameters of a template they took 37 s to compile.
struct Type {
  ffi::DataType dtype;
  std::size_t rank;
};
using Types = std::vector<Type>;

inline Types join(std::initializer_list<Types> parts) {
  Types all;
  for (const Types& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline Types repeat(int times, const Types& types) {
  return times == 2 ? join({types, types}) : types;
}

inline Types arrays(ffi::DataType dtype, std::initializer_list<std::size_t> ranks) {
  Types types;
  for (const std::size_t rank : ranks) types.push_back({dtype, rank});
  return types;
}

inline Types params(ffi::DataType dtype) { return arrays(dtype, {2, 2, 1, 1}); }
inline Types carry(ffi::DataType dtype) { return arrays(dtype, {2, 2}); }
inline Types stored(ffi::DataType dtype) { return arrays(dtype, {3, 3}); }

// A layer without its parameters.
inline Types rest_of_layer(ffi::DataType dtype) {
  return join({carry(dtype), arrays(dtype, {3}), arrays(ffi::PRED, {2, 2}), carry(dtype),
               arrays(dtype, {2}), arrays(ffi::PRED, {3, 3, 3})});
}

struct Signature {
  Types args, rets;
};

inline Types forward_rets(ffi::DataType dtype, int directions) {
  return join({arrays(dtype, {3}), repeat(directions, join({carry(dtype), stored(dtype)}))});
}

inline Signature forward_types(ffi::DataType dtype, int directions) {
  const Types args = join({params(dtype), rest_of_layer(dtype), arrays(dtype, {1})});
  return {repeat(directions, args), forward_rets(dtype, directions)};
}

inline Signature byte_forward_types(ffi::DataType dtype, int directions) {
  const Types args = join({arrays(ffi::S8, {2, 2}), arrays(dtype, {1, 1}), rest_of_layer(dtype),
                           arrays(ffi::S8, {1}), arrays(dtype, {1, 1})});
  return {repeat(directions, args), forward_rets(dtype, directions)};
}

inline Signature backward_types(ffi::DataType dtype, int directions) {
  const Types args = join({params(dtype), rest_of_layer(dtype), stored(dtype), carry(dtype)});
  const Types rets = join({params(dtype), carry(dtype), arrays(dtype, {3}), carry(dtype)});
  return {join({arrays(dtype, {3, 3}), repeat(directions, args)}), repeat(directions, rets)};
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

template <class Buffer>
View view(const Buffer& buffer) {
  return {buffer.untyped_data(), buffer.dimensions(), static_cast<long>(buffer.element_count())};
}

template <class Buffer>
View view(ffi::Result<Buffer> result) {
  advise(result->untyped_data(), result->size_bytes());
  return view(*result);
}

// The buffers of a call one after another, arguments first; of another type than `types`, an error.
class ViewsOfCall {
 public:
  ViewsOfCall(const Signature& types, const ffi::RemainingArgs& args, const ffi::RemainingRets& rets) {
    views_.reserve(types.args.size() + types.rets.size());
    is_right_ = read(types.args, args) && read(types.rets, rets);
  }

  bool is_right() const { return is_right_; }
  const View* first() const { return views_.data(); }

 private:
  template <class Buffers>
  bool read(const Types& types, const Buffers& buffers) {
    if (buffers.size() != types.size()) return false;
    for (std::size_t k = 0; k < types.size(); k++) {
      const auto buffer = buffers.template get<ffi::AnyBuffer>(k);
      if (!buffer.has_value() || !fits(types[k], *buffer)) return false;
      views_.push_back(view(*buffer));
    }
    return true;
  }

  static bool fits(Type type, const ffi::AnyBuffer& buffer) {
    return buffer.element_type() == type.dtype && buffer.dimensions().size() == type.rank;
  }
  static bool fits(Type type, ffi::Result<ffi::AnyBuffer> result) { return fits(type, *result); }

  std::vector<View> views_;
  bool is_right_;
};

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
