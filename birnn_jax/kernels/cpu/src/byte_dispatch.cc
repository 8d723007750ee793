// Shows the layers of 8-bit weights to XLA.
#include "layer_dispatch.h"

namespace birnn {

namespace baseline {
extern const ByteCells byte_cells;
}
#if defined(__x86_64__)
namespace avx2 {
extern const ByteCells byte_cells;
}
namespace avx512vnni {
extern const ByteCells byte_cells;
}
#endif

namespace {

// Those that go with the kernels chosen.
const ByteCells& get_byte_cells() {
#if defined(__x86_64__)
  const std::string_view isa = get_kernels<float>().isa;
  if (isa == "avx512" && __builtin_cpu_supports("avx512vnni")) return avx512vnni::byte_cells;
  if (isa != "baseline") return avx2::byte_cells;
#endif
  return baseline::byte_cells;
}

const ByteCell* find_byte_cell(std::string_view name) {
  const ByteCells& cells = get_byte_cells();
  for (long k = 0; k < cells.count; k++)
    if (name == cells.first[k].kernels.name) return &cells.first[k];
  return nullptr;
}

const CellKernels<float>* find_kernels(std::string_view name) {
  const ByteCell* cell = find_byte_cell(name);
  return cell ? &cell->kernels : nullptr;
}

Layer<float> read_bytes(const Settings<float>& settings, long direction, Views& views) {
  Views weights = views;
  Layer<float> layer = read_layer(settings, direction, views);
  layer.w_x = layer.w_h = nullptr;
  layer.bytes.w_x = weights.numbers<const std::int8_t>();
  layer.bytes.w_h = weights.numbers<const std::int8_t>();
  layer.bytes.packed = views.numbers<const std::int8_t>();
  layer.bytes.scales_x = views.numbers<float>();
  layer.bytes.scales_h = views.numbers<float>();
  return layer;
}

template <int directions>
constexpr auto kForward =
    handle<float, find_kernels, forward<float, read_bytes>, byte_forward_types, directions>;

ffi::Error pack_bytes(std::string_view name, std::int64_t states, Whole<2> w_x, Whole<2> w_h,
                      Numbers<float, 1> scales_x, Numbers<float, 1> scales_h,
                      ffi::Result<Whole<1>> packed) {
  const ByteCell* cell = find_byte_cell(name);
  if (cell == nullptr) return ffi::Error::InvalidArgument("there is no cell of this name");
  const auto shape = w_x.dimensions();
  Layer<float> layer = read_weights(cell->kernels, shape[0], shape[1], states, states);
  layer.bytes = {get<std::int8_t>(view(w_x)), get<std::int8_t>(view(w_h)),
                 get<float>(view(scales_x)), get<float>(view(scales_h)), nullptr};
  if (static_cast<long>(packed->element_count()) != cell->kernels.packed_size(layer))
    return ffi::Error::InvalidArgument("the result must have the size of birnn_packed_bytes");
  cell->pack(layer, packed->typed_data());
  return ffi::Error::Success();
}

auto bind_pack_bytes() {
  return ffi::Ffi::Bind()
      .Attr<std::string_view>("cell")
      .Attr<std::int64_t>("states")
      .Arg<Whole<2>>()
      .Arg<Whole<2>>()
      .Arg<Numbers<float, 1>>()
      .Arg<Numbers<float, 1>>()
      .Ret<Whole<1>>();
}

}  // namespace
}  // namespace birnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_forward_bytes_1, birnn::kForward<1>, birnn::bind_layers());
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_forward_bytes_2, birnn::kForward<2>, birnn::bind_layers());
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_pack_bytes, birnn::pack_bytes, birnn::bind_pack_bytes());

// By way of ctypes: bytes that birnn_pack_bytes returns, as birnn_packed_size.
extern "C" long birnn_packed_bytes(const char* name, long inputs, long columns, long states, long head) {
  const birnn::CellKernels<float>* cell = birnn::find_kernels(name);
  return cell->packed_size(birnn::read_weights(*cell, inputs, columns, states, head));
}

// Whether products of weights of 8 bits take the tiles of the processor, from now on and before; to test both ways.
extern "C" int birnn_use_tiles(int takes) {
  bool& has_tiles = birnn::get_byte_cells().has_tiles();
  const bool before = has_tiles;
  has_tiles = takes;
  return before;
}
