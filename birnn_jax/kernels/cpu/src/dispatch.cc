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
extern const Kernels<float> kernels;
extern const ByteCells byte_cells;
}  // namespace baseline
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels<float> kernels;
extern const ByteCells byte_cells;
}  // namespace avx2
namespace avx512 {
extern const Kernels<float> kernels;
}
namespace avx512vnni {
extern const ByteCells byte_cells;
}
namespace avx2_f64 {
extern const Kernels<double> kernels;
}
#else
namespace baseline_f64 {
extern const Kernels<double> kernels;
}
#endif

namespace {

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

// Those for float that run here, the best first.
std::vector<const Kernels<float>*> find_kernels() {
  std::vector<const Kernels<float>*> found;
#if defined(__x86_64__)
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_avx2() && has_avx512) found.push_back(&avx512::kernels);
  if (has_avx2()) found.push_back(&avx2::kernels);
#endif
  found.push_back(&baseline::kernels);
  return found;
}

std::atomic<const Kernels<float>*>& chosen() {
  static std::atomic<const Kernels<float>*> kernels{find_kernels().front()};
  return kernels;
}

}  // namespace

template <>
const Kernels<float>& get_kernels<float>() {
  return *chosen().load();
}

// One instruction set is enough for double, with half of the elements in a vector.
template <>
const Kernels<double>& get_kernels<double>() {
#if defined(__x86_64__)
  return avx2_f64::kernels;
#else
  return baseline_f64::kernels;
#endif
}

namespace {

// Those of weights of 8 bits that go with the kernels chosen.
const ByteCells& get_byte_cells() {
#if defined(__x86_64__)
  const Kernels<float>* kernels = &get_kernels<float>();
  if (kernels == &avx512::kernels && __builtin_cpu_supports("avx512vnni"))
    return avx512vnni::byte_cells;
  if (kernels != &baseline::kernels) return avx2::byte_cells;
#endif
  return baseline::byte_cells;
}

const ByteCell* find_byte_cell(std::string_view name) {
  const ByteCells& cells = get_byte_cells();
  for (long k = 0; k < cells.count; k++)
    if (name == cells.first[k].kernels.name) return &cells.first[k];
  return nullptr;
}

// What is not an array: the cell, and of each direction its order and its numbers.
template <class Scalar>
struct Settings {
  const CellKernels<Scalar>& cell;
  ffi::Span<const std::int64_t> reverse;
  ffi::Span<const double> rates;  // scale of the candidate, zoneout of c, of h
  bool has_bytes;                 // in place of weights

  long count() const { return reverse.size(); }
};

template <class Scalar>
Layer<Scalar> read_layer(const Settings<Scalar>& settings, long direction, Views& views) {
  const double* rates = settings.rates.begin() + 3 * direction;
  Layer<Scalar> layer{};
  layer.reverse = settings.reverse[direction] != 0;
  layer.w_x = views.numbers<Scalar>();  // or bytes
  const View& w_h = views.next();
  const View& b = views.next();
  const View& extra = views.next();
  layer.w_h = get<Scalar>(w_h), layer.w_h_size = w_h.size;
  layer.b = get<Scalar>(b);
  layer.extra = get<Scalar>(extra), layer.extra_size = extra.size;
  layer.c = views.numbers<Scalar>();
  const View& h = views.next();
  const View& xs = views.next();
  layer.h = get<Scalar>(h), layer.xs = get<Scalar>(xs);
  layer.valid = views.flags(), layer.starts = views.flags();
  layer.start_c = views.numbers<Scalar>(), layer.start_h = views.numbers<Scalar>();
  layer.seen = views.numbers<Scalar>();
  layer.candidate = views.flags(), layer.candidate_scale = Scalar(rates[0]);
  layer.zone_c = {views.flags(), rates[1]};
  layer.zone_h = {views.flags(), rates[2]};
  layer.rows = xs.shape[0], layer.steps = xs.shape[1], layer.inputs = xs.shape[2];
  layer.hidden = b.shape[0] / settings.cell.gates, layer.states = h.shape[1];
  return layer;
}

template <class Scalar>
void read_bytes(Layer<Scalar>& layer, Views& views) {
  layer.bytes.w_x = reinterpret_cast<const std::int8_t*>(layer.w_x);
  layer.bytes.w_h = reinterpret_cast<const std::int8_t*>(layer.w_h);
  layer.bytes.packed = get<const std::int8_t>(views.next());
  layer.bytes.scales_x = views.numbers<float>();
  layer.bytes.scales_h = views.numbers<float>();
}

// The rows of all directions in tasks of about the same size, one for every thread.
long count_chunks(ffi::ThreadPool& pool, long directions, long rows) {
  const long threads = std::max<long>(1, pool.num_threads());
  return std::max<long>(1, std::min(rows, threads / directions));
}

Rows get_chunk(long rows, long chunk, long chunks) {
  return {rows * chunk / chunks, rows * (chunk + 1) / chunks};
}

template <class Scalar>
void forward(const Settings<Scalar>& settings, ffi::ThreadPool& pool, Views views) {
  std::vector<Layer<Scalar>> layers;
  std::vector<Outputs<Scalar>> outputs;
  for (long k = 0; k < settings.count(); k++) {
    layers.push_back(read_layer(settings, k, views));
    if (settings.has_bytes)
      read_bytes(layers.back(), views);
    else
      layers.back().packed = views.numbers<Scalar>();
  }
  const View& side_by_side = views.next();
  Scalar* ys = static_cast<Scalar*>(side_by_side.data);
  for (const Layer<Scalar>& layer : layers) {
    Outputs<Scalar> out{};
    out.ys = ys, out.y_stride = side_by_side.shape[2];
    ys += layer.states;
    out.c = views.numbers<Scalar>(), out.h = views.numbers<Scalar>();
    out.cs = views.numbers<Scalar>(), out.gates = views.numbers<Scalar>();
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

template <class Scalar, bool has_bytes = false>
const CellKernels<Scalar>* find_cell(std::string_view name) {
  if constexpr (has_bytes) {
    const ByteCell* cell = find_byte_cell(name);
    return cell ? &cell->kernels : nullptr;
  } else {
    const Kernels<Scalar>& kernels = get_kernels<Scalar>();
    for (long k = 0; k < kernels.cell_count; k++)
      if (name == kernels.cells[k].name) return &kernels.cells[k];
    return nullptr;
  }
}

template <class Scalar>
using Run = void(const Settings<Scalar>&, ffi::ThreadPool&, Views);

// A handler: its buffers, of the types that were bound, in one row of views.
template <class Scalar, Run<Scalar> run, int directions, bool has_bytes = false>
struct Handle {
  template <class... Buffers>
  ffi::Error operator()(ffi::ThreadPool pool, std::string_view name,
                        ffi::Span<const std::int64_t> reverse, ffi::Span<const double> rates,
                        Buffers... buffers) const {
    const CellKernels<Scalar>* cell = find_cell<Scalar, has_bytes>(name);
    if (cell == nullptr) return ffi::Error::InvalidArgument("there is no cell of this name");
    if (reverse.size() != directions || rates.size() != 3 * directions)
      return ffi::Error::InvalidArgument("reverse and rates must have entries for each direction");
    const View views[] = {view(buffers)...};
    run({*cell, reverse, rates, has_bytes}, pool, Views(views));
    return ffi::Error::Success();
  }
};

template <class Types>
auto bind() {
  return add_buffers<Types>(ffi::Ffi::Bind()
                                .Ctx<ffi::ThreadPool>()
                                .Attr<std::string_view>("cell")
                                .Attr<ffi::Span<const std::int64_t>>("reverse")
                                .Attr<ffi::Span<const double>>("rates"));
}

template <class Scalar>
Layer<Scalar> read_weights(const CellKernels<Scalar>& cell, long inputs, long columns, long states) {
  Layer<Scalar> layer{};
  layer.inputs = inputs, layer.hidden = columns / cell.gates, layer.states = states;
  return layer;
}

template <class Scalar>
long packed_size(const char* name, long inputs, long columns, long states) {
  const CellKernels<Scalar>* cell = find_cell<Scalar>(name);
  return cell->packed_size(read_weights(*cell, inputs, columns, states));
}

template <class Scalar>
ffi::Error pack(std::string_view name, std::int64_t states, Numbers<Scalar, 2> w_x, Numbers<Scalar, 2> w_h,
                Numbers<Scalar, 1> extra, ffi::Result<Numbers<Scalar, 1>> packed) {
  const CellKernels<Scalar>* cell = find_cell<Scalar>(name);
  if (cell == nullptr) return ffi::Error::InvalidArgument("there is no cell of this name");
  const auto shape = w_x.dimensions();
  Layer<Scalar> layer = read_weights(*cell, shape[0], shape[1], states);
  layer.w_x = get<Scalar>(view(w_x)), layer.w_h = get<Scalar>(view(w_h));
  layer.extra = get<Scalar>(view(extra));
  if (static_cast<long>(packed->element_count()) != cell->packed_size(layer))
    return ffi::Error::InvalidArgument("the result must have the size of birnn_packed_size");
  cell->pack(layer, packed->typed_data());
  return ffi::Error::Success();
}

ffi::Error pack_bytes(std::string_view name, std::int64_t states, Whole<2> w_x, Whole<2> w_h,
                      Numbers<float, 1> scales_x, Numbers<float, 1> scales_h,
                      ffi::Result<Whole<1>> packed) {
  const ByteCell* cell = find_byte_cell(name);
  if (cell == nullptr) return ffi::Error::InvalidArgument("there is no cell of this name");
  const auto shape = w_x.dimensions();
  Layer<float> layer = read_weights(cell->kernels, shape[0], shape[1], states);
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

template <class Scalar>
ffi::Error draw(ffi::ThreadPool pool, std::int64_t site, std::int64_t threshold, bool reverse,
                ffi::Buffer<ffi::U32, 2> keys, ffi::Buffer<ffi::S32, 1> visited, Flags<2> valid,
                Flags<2> starts, ffi::Result<Flags<3>> flags) {
  const auto shape = flags->dimensions();
  Draw draw{};
  draw.keys = keys.typed_data(), draw.visited = visited.typed_data();
  draw.valid = get<bool>(view(valid)), draw.starts = get<bool>(view(starts));
  draw.reverse = reverse, draw.steps = shape[1], draw.size = shape[2];
  draw.site = site, draw.threshold = threshold, draw.out = flags->typed_data();
  run_rows(pool, shape[0], [&](Rows rows) { get_kernels<Scalar>().draw(draw, rows); });
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
  get_kernels<float>().fold_in(fold, {0, keys.dimensions()[0]});
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

#define BIRNN_HANDLER(way, Types, directions, Scalar, suffix)                              \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_##way##_##directions##suffix,                        \
                                (birnn::Handle<Scalar, birnn::way<Scalar>, directions>()), \
                                (birnn::bind<birnn::Types<Scalar, directions>>()))

#define BIRNN_HANDLERS(Scalar, suffix)                       \
  BIRNN_HANDLER(forward, ForwardTypes, 1, Scalar, suffix);   \
  BIRNN_HANDLER(forward, ForwardTypes, 2, Scalar, suffix);   \
  BIRNN_HANDLER(backward, BackwardTypes, 1, Scalar, suffix); \
  BIRNN_HANDLER(backward, BackwardTypes, 2, Scalar, suffix); \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_pack##suffix, birnn::pack<Scalar>,                   \
                                birnn::bind_pack<Scalar>());                               \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_draw##suffix, birnn::draw<Scalar>, birnn::bind_draw())

#define BIRNN_BYTE_HANDLER(directions)                                                        \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_forward_bytes_##directions,                             \
                                (birnn::Handle<float, birnn::forward<float>, directions, true>()), \
                                (birnn::bind<birnn::ByteForwardTypes<float, directions>>()))

BIRNN_BYTE_HANDLER(1);
BIRNN_BYTE_HANDLER(2);
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_pack_bytes, birnn::pack_bytes, birnn::bind_pack_bytes());
BIRNN_HANDLERS(float, );
BIRNN_HANDLERS(double, _f64);
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_fold_in, birnn::fold_in, birnn::bind_fold_in());

// By way of ctypes.
extern "C" {

// Numbers that birnn_pack returns for a cell that is there, [D, columns] being the shape of w_x.
long birnn_packed_size(const char* name, long inputs, long columns, long states) {
  return birnn::packed_size<float>(name, inputs, columns, states);
}

long birnn_packed_size_f64(const char* name, long inputs, long columns, long states) {
  return birnn::packed_size<double>(name, inputs, columns, states);
}

// The same of birnn_pack_bytes.
long birnn_packed_bytes(const char* name, long inputs, long columns, long states) {
  const birnn::CellKernels<float>* cell = birnn::find_cell<float, true>(name);
  return cell->packed_size(birnn::read_weights(*cell, inputs, columns, states));
}

const char* birnn_isa() { return birnn::get_kernels<float>().isa; }

// 1 if this processor has the instructions and they were taken, otherwise 0.
int birnn_force_isa(const char* isa) {
  for (const birnn::Kernels<float>* one : birnn::find_kernels()) {
    if (std::strcmp(one->isa, isa) != 0) continue;
    birnn::chosen() = one;
    return 1;
  }
  return 0;
}

void birnn_tanh(const float* in, float* out, long size) {
  birnn::get_kernels<float>().tanh(in, out, size);
}

// 1 if the kernels for double run on this processor.
int birnn_has_f64() {
#if defined(__x86_64__)
  return birnn::has_avx2();
#else
  return 1;
#endif
}

void birnn_sigmoid(const float* in, float* out, long size) {
  birnn::get_kernels<float>().sigmoid(in, out, size);
}

void birnn_tanh_f64(const double* in, double* out, long size) {
  birnn::get_kernels<double>().tanh(in, out, size);
}

void birnn_sigmoid_f64(const double* in, double* out, long size) {
  birnn::get_kernels<double>().sigmoid(in, out, size);
}
}
