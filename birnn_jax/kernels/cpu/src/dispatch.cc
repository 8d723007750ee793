// Chooses the kernels that the processor can run and shows them to XLA.
#include <algorithm>
#include <cstring>
#include <vector>

#include "buffers.h"
#include "layer.h"
#include "parallel.h"
#include "partial.h"

namespace birnn {

namespace baseline {
extern const Kernels kernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

namespace {

// Those that run here, the best first.
std::vector<const Kernels*> find_kernels() {
  std::vector<const Kernels*> found;
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_avx2 && has_avx512) found.push_back(&avx512::kernels);
  if (has_avx2) found.push_back(&avx2::kernels);
#endif
  found.push_back(&baseline::kernels);
  return found;
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> kernels{find_kernels().front()};
  return kernels;
}

const Kernels& get_kernels() { return *chosen().load(); }

template <class Cell>
Layer read_layer(Views& views, bool reverse) {
  Layer layer{};
  layer.reverse = reverse;
  layer.w_x = views.floats();
  const View& w_h = views.next();
  layer.w_h = static_cast<const float*>(w_h.data);
  layer.b = views.floats();
  if (Cell::kHasBHn) layer.b_hn = views.floats();
  if (Cell::kHasC) layer.c = views.floats();
  layer.h = views.floats();
  const View& xs = views.next();
  layer.xs = static_cast<const float*>(xs.data);
  layer.valid = views.flags_or_null();
  layer.rows = xs.shape[0], layer.steps = xs.shape[1], layer.inputs = xs.shape[2];
  layer.hidden = w_h.shape[0];
  return layer;
}

// The rows of all directions in tasks of about the same size, one for every thread.
long count_chunks(ffi::ThreadPool& pool, long directions, long rows) {
  const long threads = std::max<long>(1, pool.num_threads());
  return std::max<long>(1, std::min(rows, threads / directions));
}

Rows get_chunk(long rows, long chunk, long chunks) {
  return {rows * chunk / chunks, rows * (chunk + 1) / chunks};
}

using Reverse = ffi::Span<const std::int64_t>;  // of each direction

template <class Cell>
void forward(const CellKernels& kernels, ffi::ThreadPool& pool, Reverse reverse, Views views) {
  std::vector<Layer> layers;
  std::vector<Outputs> outputs;
  for (std::int64_t back : reverse) layers.push_back(read_layer<Cell>(views, back != 0));
  const View& side_by_side = views.next();
  float* ys = static_cast<float*>(side_by_side.data);
  for (const Layer& layer : layers) {
    Outputs out{};
    out.ys = ys, out.y_stride = side_by_side.shape[2];
    ys += layer.hidden;
    if (Cell::kHasC) out.c = views.floats();
    out.h = views.floats();
    if (Cell::kHasC) out.cs = views.floats_or_null();
    if (Cell::kStored) out.gates = views.floats_or_null();
    outputs.push_back(out);
  }
  const long directions = layers.size(), rows = layers[0].rows;
  const long chunks = count_chunks(pool, directions, rows);
  run_tasks(pool, directions * chunks, [&](long task) {
    const long direction = task % directions;
    kernels.forward(layers[direction], outputs[direction],
                    get_chunk(rows, task / directions, chunks));
  });
}

template <class Cell>
void backward(const CellKernels& kernels, ffi::ThreadPool& pool, Reverse reverse, Views views) {
  std::vector<Layer> layers;
  std::vector<Outputs> outputs;
  std::vector<Cotangents> cotangents;
  std::vector<Gradients> gradients;
  const View& side_by_side = views.next();
  float* ys = static_cast<float*>(side_by_side.data);  // only read, as all that was stored
  const float* d_ys = views.floats();
  for (std::int64_t back : reverse) {
    layers.push_back(read_layer<Cell>(views, back != 0));
    Outputs out{};
    out.ys = ys, out.y_stride = side_by_side.shape[2];
    ys += layers.back().hidden;
    if (Cell::kHasC) out.cs = views.floats_or_null();
    if (Cell::kStored) out.gates = views.floats_or_null();
    outputs.push_back(out);
    Cotangents d_out{};
    if (Cell::kHasC) d_out.c = views.floats();
    d_out.h = views.floats();
    d_out.ys = d_ys;
    d_ys += layers.back().hidden;
    cotangents.push_back(d_out);
  }
  for (std::size_t k = 0; k < layers.size(); k++) {
    Gradients grads{};
    grads.w_x = views.floats(), grads.w_h = views.floats(), grads.b = views.floats_or_null();
    if (Cell::kHasBHn) grads.b_hn = views.floats_or_null();
    if (Cell::kHasC) grads.c = views.floats();
    grads.h = views.floats();
    grads.xs = views.floats_or_null();
    gradients.push_back(grads);
  }
  const long directions = layers.size(), rows = layers[0].rows;
  const long chunks = count_chunks(pool, directions, rows);
  std::vector<Partial> partials(directions * (chunks - 1));
  run_tasks(pool, directions * chunks, [&](long task) {
    const long direction = task % directions, chunk = task / directions;
    Gradients grads = gradients[direction];
    if (grads.b && chunk > 0)
      grads = partials[task - directions].begin(Cell::kGates, layers[direction], grads);
    kernels.backward(layers[direction], outputs[direction], cotangents[direction], grads,
                     get_chunk(rows, chunk, chunks));
  });
  for (std::size_t k = 0; k < partials.size(); k++) {
    const Gradients& grads = gradients[k % directions];
    if (grads.b) partials[k].add_to(grads);
  }
}

using Run = void(const CellKernels&, ffi::ThreadPool&, Reverse, Views);

// A handler: its buffers, of the types that were bound, in one row of views.
template <Run run, CellKernels Kernels::* cell, int directions>
struct Handle {
  template <class... Buffers>
  ffi::Error operator()(ffi::ThreadPool pool, Reverse reverse, Buffers... buffers) const {
    if (reverse.size() != directions)
      return ffi::Error::InvalidArgument("reverse must have one entry for each direction");
    const View views[] = {view(buffers)...};
    run(get_kernels().*cell, pool, reverse, Views(views));
    return ffi::Error::Success();
  }
};

template <class Types>
auto bind() {
  return add_buffers<Types>(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Attr<Reverse>("reverse"));
}

}  // namespace
}  // namespace birnn

#define BIRNN_HANDLER(name, Cell, way, Types, directions)                            \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(                                                     \
      birnn_##name##_##way##_##directions,                                           \
      (birnn::Handle<birnn::way<birnn::Cell>, &birnn::Kernels::name, directions>()), \
      (birnn::bind<birnn::Types<birnn::Cell, directions>>()))

#define BIRNN_CELL(name, Cell)                            \
  BIRNN_HANDLER(name, Cell, forward, ForwardTypes, 1);    \
  BIRNN_HANDLER(name, Cell, forward, ForwardTypes, 2);    \
  BIRNN_HANDLER(name, Cell, backward, BackwardTypes, 1);  \
  BIRNN_HANDLER(name, Cell, backward, BackwardTypes, 2)

BIRNN_CELL(elman, ElmanArrays);
BIRNN_CELL(gru, GruArrays);
BIRNN_CELL(lstm, LstmArrays);

// For tests, by way of ctypes.
extern "C" {

const char* birnn_isa() { return birnn::get_kernels().isa; }

// 1 if this processor has the instructions and they were taken, otherwise 0.
int birnn_force_isa(const char* isa) {
  for (const birnn::Kernels* one : birnn::find_kernels()) {
    if (std::strcmp(one->isa, isa) != 0) continue;
    birnn::chosen() = one;
    return 1;
  }
  return 0;
}

void birnn_tanh(const float* in, float* out, long size) {
  birnn::get_kernels().tanh(in, out, size);
}

void birnn_sigmoid(const float* in, float* out, long size) {
  birnn::get_kernels().sigmoid(in, out, size);
}
}
