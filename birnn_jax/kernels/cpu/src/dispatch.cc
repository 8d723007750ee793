// Chooses the kernels that the processor can run and shows them to XLA.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "buffers.h"
#include "kernels.h"
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

}  // namespace

const Kernels& get_kernels() { return *chosen().load(); }

namespace {

// What is not an array: the cell, and of each direction its order and its numbers.
struct Settings {
  const CellKernels& cell;
  ffi::Span<const std::int64_t> reverse;
  ffi::Span<const float> rates;  // scale of the candidate, zoneout of c, of h

  long count() const { return reverse.size(); }
};

Layer read_layer(const Settings& settings, long direction, Views& views) {
  const float* rates = settings.rates.begin() + 3 * direction;
  Layer layer{};
  layer.reverse = settings.reverse[direction] != 0;
  layer.w_x = views.floats();
  const View& w_h = views.next();
  const View& b = views.next();
  const View& extra = views.next();
  layer.w_h = get<float>(w_h), layer.w_h_size = w_h.size;
  layer.b = get<float>(b);
  layer.extra = get<float>(extra), layer.extra_size = extra.size;
  layer.c = views.floats();
  const View& h = views.next();
  const View& xs = views.next();
  layer.h = get<float>(h), layer.xs = get<float>(xs);
  layer.valid = views.flags(), layer.starts = views.flags();
  layer.start_c = views.floats(), layer.start_h = views.floats();
  layer.seen = views.floats();
  layer.candidate = views.flags(), layer.candidate_scale = rates[0];
  layer.zone_c = {views.flags(), rates[1]};
  layer.zone_h = {views.flags(), rates[2]};
  layer.rows = xs.shape[0], layer.steps = xs.shape[1], layer.inputs = xs.shape[2];
  layer.hidden = b.shape[0] / settings.cell.gates, layer.states = h.shape[1];
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

void forward(const Settings& settings, ffi::ThreadPool& pool, Views views) {
  std::vector<Layer> layers;
  std::vector<Outputs> outputs;
  for (long k = 0; k < settings.count(); k++) {
    layers.push_back(read_layer(settings, k, views));
    layers.back().packed = views.floats();
  }
  const View& side_by_side = views.next();
  float* ys = static_cast<float*>(side_by_side.data);
  for (const Layer& layer : layers) {
    Outputs out{};
    out.ys = ys, out.y_stride = side_by_side.shape[2];
    ys += layer.states;
    out.c = views.floats(), out.h = views.floats();
    out.cs = views.floats(), out.gates = views.floats();
    outputs.push_back(out);
  }
  const long directions = layers.size(), rows = layers[0].rows;
  const long chunks = count_chunks(pool, directions, rows);
  run_tasks(pool, directions * chunks, [&](long task) {
    const long direction = task % directions;
    settings.cell.forward(layers[direction], outputs[direction],
                          get_chunk(rows, task / directions, chunks));
  });
}

void backward(const Settings& settings, ffi::ThreadPool& pool, Views views) {
  std::vector<Layer> layers;
  std::vector<Outputs> outputs;
  std::vector<Cotangents> cotangents;
  std::vector<Gradients> gradients;
  const View& side_by_side = views.next();
  float* ys = static_cast<float*>(side_by_side.data);  // only read, as all that was stored
  const float* d_ys = static_cast<float*>(views.next().data);
  for (long k = 0; k < settings.count(); k++) {
    layers.push_back(read_layer(settings, k, views));
    Outputs out{};
    out.ys = ys, out.y_stride = side_by_side.shape[2];
    ys += layers.back().states;
    out.cs = views.floats(), out.gates = views.floats();
    outputs.push_back(out);
    Cotangents d_out{};
    d_out.c = views.floats(), d_out.h = views.floats();
    d_out.ys = d_ys;
    d_ys += layers.back().states;
    cotangents.push_back(d_out);
  }
  for (std::size_t k = 0; k < layers.size(); k++) {
    Gradients grads{};
    grads.w_x = views.floats(), grads.w_h = views.floats();
    grads.b = views.floats(), grads.extra = views.floats();
    grads.c = views.floats(), grads.h = views.floats();
    grads.xs = views.floats();
    grads.start_c = views.floats(), grads.start_h = views.floats();
    gradients.push_back(grads);
  }
  const long directions = layers.size(), rows = layers[0].rows;
  const long chunks = count_chunks(pool, directions, rows);
  std::vector<Partial> partials(directions * (chunks - 1));
  run_tasks(pool, directions * chunks, [&](long task) {
    const long direction = task % directions, chunk = task / directions;
    Gradients grads = gradients[direction];
    if (grads.b && chunk > 0)
      grads = partials[task - directions].begin(settings.cell.gates, layers[direction], grads);
    settings.cell.backward(layers[direction], outputs[direction], cotangents[direction], grads,
                           get_chunk(rows, chunk, chunks));
  });
  for (std::size_t k = 0; k < partials.size(); k++) {
    const Gradients& grads = gradients[k % directions];
    if (grads.b) partials[k].add_to(grads);
  }
}

const CellKernels* find_cell(std::string_view name) {
  const Kernels& kernels = get_kernels();
  for (long k = 0; k < kernels.cell_count; k++)
    if (name == kernels.cells[k].name) return &kernels.cells[k];
  return nullptr;
}

using Run = void(const Settings&, ffi::ThreadPool&, Views);

// A handler: its buffers, of the types that were bound, in one row of views.
template <Run run, int directions>
struct Handle {
  template <class... Buffers>
  ffi::Error operator()(ffi::ThreadPool pool, std::string_view name,
                        ffi::Span<const std::int64_t> reverse, ffi::Span<const float> rates,
                        Buffers... buffers) const {
    const CellKernels* cell = find_cell(name);
    if (cell == nullptr) return ffi::Error::InvalidArgument("there is no cell of this name");
    if (reverse.size() != directions || rates.size() != 3 * directions)
      return ffi::Error::InvalidArgument("reverse and rates must have entries for each direction");
    const View views[] = {view(buffers)...};
    run({*cell, reverse, rates}, pool, Views(views));
    return ffi::Error::Success();
  }
};

template <class Types>
auto bind() {
  return add_buffers<Types>(ffi::Ffi::Bind()
                                .Ctx<ffi::ThreadPool>()
                                .Attr<std::string_view>("cell")
                                .Attr<ffi::Span<const std::int64_t>>("reverse")
                                .Attr<ffi::Span<const float>>("rates"));
}

Layer read_weights(const CellKernels& cell, long inputs, long columns, long states) {
  Layer layer{};
  layer.inputs = inputs, layer.hidden = columns / cell.gates, layer.states = states;
  return layer;
}

ffi::Error pack(std::string_view name, std::int64_t states, Floats<2> w_x, Floats<2> w_h,
                Floats<1> extra, ffi::Result<Floats<1>> packed) {
  const CellKernels* cell = find_cell(name);
  if (cell == nullptr) return ffi::Error::InvalidArgument("there is no cell of this name");
  const auto shape = w_x.dimensions();
  Layer layer = read_weights(*cell, shape[0], shape[1], states);
  layer.w_x = get<float>(view(w_x)), layer.w_h = get<float>(view(w_h));
  layer.extra = get<float>(view(extra));
  if (static_cast<long>(packed->element_count()) != cell->packed_size(layer))
    return ffi::Error::InvalidArgument("the result must have the size of birnn_packed_size");
  cell->pack(layer, packed->typed_data());
  return ffi::Error::Success();
}

auto bind_pack() {
  return ffi::Ffi::Bind()
      .Attr<std::string_view>("cell")
      .Attr<std::int64_t>("states")
      .Arg<Floats<2>>()
      .Arg<Floats<2>>()
      .Arg<Floats<1>>()
      .Ret<Floats<1>>();
}

ffi::Error draw(ffi::ThreadPool pool, std::int64_t site, std::int64_t threshold, bool reverse,
                ffi::Buffer<ffi::U32, 2> keys, ffi::Buffer<ffi::S32, 1> visited, Flags<2> valid,
                Flags<2> starts, ffi::Result<Flags<3>> flags) {
  const auto shape = flags->dimensions();
  Draw draw{};
  draw.keys = keys.typed_data(), draw.visited = visited.typed_data();
  draw.valid = get<bool>(view(valid)), draw.starts = get<bool>(view(starts));
  draw.reverse = reverse, draw.steps = shape[1], draw.size = shape[2];
  draw.site = site, draw.threshold = threshold, draw.out = flags->typed_data();
  run_rows(pool, shape[0], [&](Rows rows) { get_kernels().draw(draw, rows); });
  return ffi::Error::Success();
}

auto bind_draw() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Attr<std::int64_t>("site")
      .Attr<std::int64_t>("threshold")
      .Attr<bool>("reverse")
      .Arg<ffi::Buffer<ffi::U32, 2>>()
      .Arg<ffi::Buffer<ffi::S32, 1>>()
      .Arg<Flags<2>>()
      .Arg<Flags<2>>()
      .Ret<Flags<3>>();
}

ffi::Error fold_in(ffi::Buffer<ffi::U32, 2> keys, ffi::Buffer<ffi::U32, 1> numbers,
                   ffi::Result<ffi::Buffer<ffi::U32, 2>> folded) {
  const FoldIn fold{keys.typed_data(), numbers.typed_data(), folded->typed_data()};
  get_kernels().fold_in(fold, {0, keys.dimensions()[0]});
  return ffi::Error::Success();
}

auto bind_fold_in() {
  return ffi::Ffi::Bind()
      .Arg<ffi::Buffer<ffi::U32, 2>>()
      .Arg<ffi::Buffer<ffi::U32, 1>>()
      .Ret<ffi::Buffer<ffi::U32, 2>>();
}

}  // namespace
}  // namespace birnn

#define BIRNN_HANDLER(way, Types, directions)                       \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_##way##_##directions,         \
                                (birnn::Handle<birnn::way, directions>()), \
                                (birnn::bind<birnn::Types<directions>>()))

BIRNN_HANDLER(forward, ForwardTypes, 1);
BIRNN_HANDLER(forward, ForwardTypes, 2);
BIRNN_HANDLER(backward, BackwardTypes, 1);
BIRNN_HANDLER(backward, BackwardTypes, 2);
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_pack, birnn::pack, birnn::bind_pack());
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_draw, birnn::draw, birnn::bind_draw());
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_fold_in, birnn::fold_in, birnn::bind_fold_in());

// By way of ctypes.
extern "C" {

// Floats that birnn_pack returns for a cell that is there, [D, columns] being the shape of w_x.
long birnn_packed_size(const char* name, long inputs, long columns, long states) {
  const birnn::CellKernels* cell = birnn::find_cell(name);
  return cell->packed_size(birnn::read_weights(*cell, inputs, columns, states));
}

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
