// What the handlers of layers share: one reads its buffers, and runs the kernels of a cell in several tasks.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "buffers.h"
#include "kernels.h"
#include "parallel.h"

namespace birnn {

// What is not an array: the cell, and of each direction its order and its numbers.
template <class Scalar>
struct Settings {
  const CellKernels<Scalar>& cell;
  ffi::Span<const std::int64_t> reverse;
  ffi::Span<const double> rates;  // scale of the candidate, zoneout of c, of h

  long count() const { return reverse.size(); }
};

template <class Scalar>
using Read = Layer<Scalar>(const Settings<Scalar>&, long direction, Views&);

template <class Scalar>
Layer<Scalar> read_layer(const Settings<Scalar>& settings, long direction, Views& views) {
  const double* rates = settings.rates.begin() + 3 * direction;
  Layer<Scalar> layer{};
  layer.reverse = settings.reverse[direction] != 0;
  layer.w_x = views.numbers<Scalar>();
  const View& w_h = views.next();
  const View& b = views.next();
  const View& extra = views.next();
  layer.w_h = get<Scalar>(w_h), layer.w_h_size = w_h.size, layer.head = w_h.shape[0];
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

// The rows of all directions in tasks of about the same size, one for every thread.
inline long count_chunks(ffi::ThreadPool& pool, long directions, long rows) {
  const long threads = std::max<long>(1, pool.num_threads());
  return std::max<long>(1, std::min(rows, threads / directions));
}

inline Rows get_chunk(long rows, long chunk, long chunks) {
  return {rows * chunk / chunks, rows * (chunk + 1) / chunks};
}

// `read` reads one layer and what follows it.
template <class Scalar, Read<Scalar> read>
void forward(const Settings<Scalar>& settings, ffi::ThreadPool& pool, Views views) {
  std::vector<Layer<Scalar>> layers;
  std::vector<Outputs<Scalar>> outputs;
  for (long k = 0; k < settings.count(); k++) layers.push_back(read(settings, k, views));
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
using Find = const CellKernels<Scalar>*(std::string_view name);
template <class Scalar>
using Run = void(const Settings<Scalar>&, ffi::ThreadPool&, Views);
using TypesOf = Signature(ffi::DataType, int directions);

template <class Scalar, Find<Scalar> find, Run<Scalar> run, TypesOf types, int directions>
ffi::Error handle(ffi::ThreadPool pool, std::string_view name, ffi::Span<const std::int64_t> reverse,
                  ffi::Span<const double> rates, ffi::RemainingArgs args, ffi::RemainingRets rets) {
  static const Signature signature = types(kTypeOf<Scalar>, directions);
  const CellKernels<Scalar>* cell = find(name);
  if (cell == nullptr) return ffi::Error::InvalidArgument("there is no cell of this name");
  if (reverse.size() != directions || rates.size() != 3 * directions)
    return ffi::Error::InvalidArgument("reverse and rates must have entries for each direction");
  const ViewsOfCall views(signature, args, rets);
  if (!views.is_right())
    return ffi::Error::InvalidArgument("the buffers are not those of buffers.h");
  run({*cell, reverse, rates}, pool, Views(views.first()));
  return ffi::Error::Success();
}

inline auto bind_layers() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Attr<std::string_view>("cell")
      .Attr<ffi::Span<const std::int64_t>>("reverse")
      .Attr<ffi::Span<const double>>("rates")
      .RemainingArgs()
      .RemainingRets();
}

// What `pack` reads beside the weights.
template <class Scalar>
Layer<Scalar> read_weights(const CellKernels<Scalar>& cell, long inputs, long columns, long states, long head) {
  Layer<Scalar> layer{};
  layer.inputs = inputs, layer.hidden = columns / cell.gates, layer.states = states, layer.head = head;
  return layer;
}

}  // namespace birnn
