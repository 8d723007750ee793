// Shows the layers to XLA: their forward and backward passes, and the packing of their weights.
#include "layer_dispatch.h"

#include "partial.h"

namespace birnn {
namespace {

template <class Scalar>
Layer<Scalar> read_packed(const Settings<Scalar>& settings, long direction, Views& views) {
  Layer<Scalar> layer = read_layer(settings, direction, views);
  layer.packed = views.numbers<Scalar>();
  return layer;
}

template <class Scalar>
void backward(const Settings<Scalar>& settings, ffi::ThreadPool& pool, Views views) {
  std::vector<Layer<Scalar>> layers;
  std::vector<Outputs<Scalar>> outputs;
  std::vector<Cotangents<Scalar>> cotangents;
  std::vector<Gradients<Scalar>> gradients;
  const View& side_by_side = views.next();
  Scalar* ys = static_cast<Scalar*>(side_by_side.data);  // only read, as all that was stored
  const Scalar* d_ys = static_cast<Scalar*>(views.next().data);
  for (long k = 0; k < settings.count(); k++) {
    layers.push_back(read_layer(settings, k, views));
    Outputs<Scalar> out{};
    out.ys = ys, out.y_stride = side_by_side.shape[2];
    ys += layers.back().states;
    out.cs = views.numbers<Scalar>(), out.gates = views.numbers<Scalar>();
    outputs.push_back(out);
    Cotangents<Scalar> d_out{};
    d_out.c = views.numbers<Scalar>(), d_out.h = views.numbers<Scalar>();
    d_out.ys = d_ys;
    d_ys += layers.back().states;
    cotangents.push_back(d_out);
  }
  for (std::size_t k = 0; k < layers.size(); k++) {
    Gradients<Scalar> grads{};
    grads.w_x = views.numbers<Scalar>(), grads.w_h = views.numbers<Scalar>();
    grads.b = views.numbers<Scalar>(), grads.extra = views.numbers<Scalar>();
    grads.c = views.numbers<Scalar>(), grads.h = views.numbers<Scalar>();
    grads.xs = views.numbers<Scalar>();
    grads.start_c = views.numbers<Scalar>(), grads.start_h = views.numbers<Scalar>();
    gradients.push_back(grads);
  }
  const long directions = layers.size(), rows = layers[0].rows;
  const long chunks = count_chunks(pool, directions, rows);
  std::vector<Partial<Scalar>> partials(directions * (chunks - 1));
  run_tasks(pool, directions * chunks, [&](long task) {
    const long direction = task % directions, chunk = task / directions;
    Gradients<Scalar> grads = gradients[direction];
    if (grads.b && chunk > 0)
      grads = partials[task - directions].begin(settings.cell.gates, layers[direction], grads);
    settings.cell.backward(layers[direction], outputs[direction], cotangents[direction], grads,
                           get_chunk(rows, chunk, chunks));
  });
  for (std::size_t k = 0; k < partials.size(); k++) {
    const Gradients<Scalar>& grads = gradients[k % directions];
    if (grads.b) partials[k].add_to(grads);
  }
}

template <class Scalar>
const CellKernels<Scalar>* find_cell(std::string_view name) {
  const Kernels<Scalar>& kernels = get_kernels<Scalar>();
  for (long k = 0; k < kernels.cell_count; k++)
    if (name == kernels.cells[k].name) return &kernels.cells[k];
  return nullptr;
}

template <class Scalar, int directions>
constexpr auto kForward = handle<Scalar, find_cell<Scalar>, forward<Scalar, read_packed<Scalar>>,
                                 forward_types, directions>;
template <class Scalar, int directions>
constexpr auto kBackward =
    handle<Scalar, find_cell<Scalar>, backward<Scalar>, backward_types, directions>;

template <class Scalar>
long packed_size(const char* name, long inputs, long columns, long states, long head) {
  const CellKernels<Scalar>* cell = find_cell<Scalar>(name);
  return cell->packed_size(read_weights(*cell, inputs, columns, states, head));
}

template <class Scalar>
ffi::Error pack(std::string_view name, std::int64_t states, Numbers<Scalar, 2> w_x, Numbers<Scalar, 2> w_h,
                Numbers<Scalar, 1> extra, ffi::Result<Numbers<Scalar, 1>> packed) {
  const CellKernels<Scalar>* cell = find_cell<Scalar>(name);
  if (cell == nullptr) return ffi::Error::InvalidArgument("there is no cell of this name");
  const auto shape = w_x.dimensions();
  Layer<Scalar> layer = read_weights(*cell, shape[0], shape[1], states, w_h.dimensions()[0]);
  layer.w_x = get<Scalar>(view(w_x)), layer.w_h = get<Scalar>(view(w_h));
  layer.extra = get<Scalar>(view(extra));
  if (static_cast<long>(packed->element_count()) != cell->packed_size(layer))
    return ffi::Error::InvalidArgument("the result must have the size of birnn_packed_size");
  cell->pack(layer, packed->typed_data());
  return ffi::Error::Success();
}

template <class Scalar>
auto bind_pack() {
  return ffi::Ffi::Bind()
      .Attr<std::string_view>("cell")
      .Attr<std::int64_t>("states")
      .template Arg<Numbers<Scalar, 2>>()
      .template Arg<Numbers<Scalar, 2>>()
      .template Arg<Numbers<Scalar, 1>>()
      .template Ret<Numbers<Scalar, 1>>();
}

}  // namespace
}  // namespace birnn

#define BIRNN_LAYER_HANDLER(way, kWay, directions, Scalar, suffix)                            \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_##way##_##directions##suffix, (birnn::kWay<Scalar, directions>), \
                                birnn::bind_layers())

#define BIRNN_LAYER_HANDLERS(Scalar, suffix)                             \
  BIRNN_LAYER_HANDLER(forward, kForward, 1, Scalar, suffix);             \
  BIRNN_LAYER_HANDLER(forward, kForward, 2, Scalar, suffix);             \
  BIRNN_LAYER_HANDLER(backward, kBackward, 1, Scalar, suffix);           \
  BIRNN_LAYER_HANDLER(backward, kBackward, 2, Scalar, suffix);           \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_pack##suffix, birnn::pack<Scalar>, \
                                birnn::bind_pack<Scalar>())

BIRNN_LAYER_HANDLERS(float, );
BIRNN_LAYER_HANDLERS(double, _f64);

// By way of ctypes.
extern "C" {

// Numbers that birnn_pack returns for a cell that is there, [D, columns] and [head, columns] being the shapes of w_x and
// w_h.
long birnn_packed_size(const char* name, long inputs, long columns, long states, long head) {
  return birnn::packed_size<float>(name, inputs, columns, states, head);
}

long birnn_packed_size_f64(const char* name, long inputs, long columns, long states, long head) {
  return birnn::packed_size<double>(name, inputs, columns, states, head);
}
}
