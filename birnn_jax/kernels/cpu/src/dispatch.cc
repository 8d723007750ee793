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

// What is kept for the backward pass.
enum Keep : std::int64_t { kNothing = 0, kStates = 1, kGates = 2 };

Layer read_layer(const CellKernels& cell, Arguments& args, bool reverse, bool has_valid) {
  Layer layer{};
  ffi::Span<const std::int64_t> w_h, xs;
  layer.reverse = reverse;
  layer.w_x = args.next();
  layer.w_h = args.next(&w_h);
  layer.b = args.next();
  if (cell.has_b_hn) layer.b_hn = args.next();
  if (cell.has_c) layer.c = args.next();
  layer.h = args.next();
  layer.xs = args.next(&xs);
  if (has_valid) layer.valid = args.next<unsigned char>();
  layer.rows = xs[0], layer.steps = xs[1], layer.inputs = xs[2], layer.hidden = w_h[0];
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

ffi::Error forward(const CellKernels& cell, ffi::ThreadPool& pool, ffi::RemainingArgs buffers,
                   ffi::RemainingRets results, ffi::Span<const std::int64_t> reverse,
                   std::int64_t has_valid, std::int64_t keep) {
  Arguments args(buffers);
  Results rets(results);
  std::vector<Layer> layers;
  std::vector<Outputs> outputs;
  ffi::Span<const std::int64_t> shape;
  float* ys = rets.next(&shape);
  for (std::int64_t one : reverse) {
    layers.push_back(read_layer(cell, args, one != 0, has_valid != 0));
    Outputs out{};
    out.ys = ys, out.y_stride = shape[2];
    ys += layers.back().hidden;
    if (cell.has_c) out.c = rets.next();
    out.h = rets.next();
    if (cell.has_c && keep >= kStates) out.cs = rets.next();
    if (cell.kept_gates && keep == kGates) out.gates = rets.next();
    outputs.push_back(out);
  }
  const long directions = layers.size(), rows = layers[0].rows;
  const long chunks = count_chunks(pool, directions, rows);
  run_tasks(pool, directions * chunks, [&](long task) {
    const long direction = task % directions;
    cell.forward(layers[direction], outputs[direction],
                 get_chunk(rows, task / directions, chunks));
  });
  return ffi::Error::Success();
}

ffi::Error backward(const CellKernels& cell, ffi::ThreadPool& pool, ffi::RemainingArgs buffers,
                    ffi::RemainingRets results, ffi::Span<const std::int64_t> reverse,
                    std::int64_t has_valid, std::int64_t keep, std::int64_t wants_params,
                    std::int64_t wants_xs) {
  Arguments args(buffers);
  Results rets(results);
  std::vector<Layer> layers;
  std::vector<Outputs> outputs;
  std::vector<Cotangents> cotangents;
  std::vector<Gradients> gradients;
  // They are only read.
  const auto next = [&] { return const_cast<float*>(args.next()); };
  ffi::Span<const std::int64_t> shape;
  float* ys = const_cast<float*>(args.next(&shape));
  const float* d_ys = args.next();
  for (std::int64_t one : reverse) {
    layers.push_back(read_layer(cell, args, one != 0, has_valid != 0));
    Outputs out{};
    out.ys = ys, out.y_stride = shape[2];
    ys += layers.back().hidden;
    if (cell.has_c) out.cs = next();
    if (cell.kept_gates && keep == kGates) out.gates = next();
    Cotangents d_out{};
    if (cell.has_c) d_out.c = args.next();
    d_out.h = args.next();
    d_out.ys = d_ys;
    d_ys += layers.back().hidden;
    Gradients grads{};
    if (wants_params) {
      grads.w_x = rets.next(), grads.w_h = rets.next(), grads.b = rets.next();
      if (cell.has_b_hn) grads.b_hn = rets.next();
    }
    if (cell.has_c) grads.c = rets.next();
    grads.h = rets.next();
    if (wants_xs) grads.xs = rets.next();
    outputs.push_back(out);
    cotangents.push_back(d_out);
    gradients.push_back(grads);
  }
  const long directions = layers.size(), rows = layers[0].rows;
  const long chunks = count_chunks(pool, directions, rows);
  std::vector<Partial> partials(wants_params ? directions * (chunks - 1) : 0);
  run_tasks(pool, directions * chunks, [&](long task) {
    const long direction = task % directions, chunk = task / directions;
    Gradients grads = gradients[direction];
    if (wants_params && chunk > 0)
      grads = partials[task - directions].begin(cell, layers[direction], grads);
    cell.backward(layers[direction], outputs[direction], cotangents[direction], grads,
                  get_chunk(rows, chunk, chunks));
  });
  for (std::size_t k = 0; k < partials.size(); k++)
    partials[k].add_to(gradients[k % directions]);
  return ffi::Error::Success();
}

template <CellKernels Kernels::* cell>
ffi::Error forward_of(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                      ffi::Span<const std::int64_t> reverse, std::int64_t has_valid,
                      std::int64_t keep) {
  return forward(get_kernels().*cell, pool, args, rets, reverse, has_valid, keep);
}

template <CellKernels Kernels::* cell>
ffi::Error backward_of(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                       ffi::Span<const std::int64_t> reverse, std::int64_t has_valid,
                       std::int64_t keep, std::int64_t wants_params, std::int64_t wants_xs) {
  return backward(get_kernels().*cell, pool, args, rets, reverse, has_valid, keep, wants_params,
                  wants_xs);
}

auto bind_forward() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .RemainingArgs()
      .RemainingRets()
      .Attr<ffi::Span<const std::int64_t>>("reverse")
      .Attr<std::int64_t>("has_valid")
      .Attr<std::int64_t>("keep");
}

auto bind_backward() {
  return bind_forward().Attr<std::int64_t>("wants_params").Attr<std::int64_t>("wants_xs");
}

}  // namespace
}  // namespace birnn

#define BIRNN_CELL(name)                                                                      \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_##name##_forward,                                       \
                                birnn::forward_of<&birnn::Kernels::name>,                     \
                                birnn::bind_forward());                                       \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_##name##_backward,                                      \
                                birnn::backward_of<&birnn::Kernels::name>,                    \
                                birnn::bind_backward())

BIRNN_CELL(elman);
BIRNN_CELL(gru);
BIRNN_CELL(lstm);

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
