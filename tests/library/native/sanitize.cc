// Calls the native kernels on random ragged cases, from two threads at once: built with a
// sanitiser by `make sanitize`. Every instruction set must agree with the first.
#include <cmath>
#include <cstdint>
#include <functional>
#include <string_view>

#include "host.h"

extern "C" {
XLA_FFI_Handler birnn_elman_forward_1, birnn_elman_forward_2, birnn_elman_backward_1,
    birnn_elman_backward_2, birnn_gru_forward_1, birnn_gru_forward_2, birnn_gru_backward_1,
    birnn_gru_backward_2, birnn_lstm_forward_1, birnn_lstm_forward_2, birnn_lstm_backward_1,
    birnn_lstm_backward_2;
int birnn_force_isa(const char*);
void birnn_tanh(const float*, float*, long);
void birnn_sigmoid(const float*, float*, long);
}

struct Cell {
  const char* name;
  XLA_FFI_Handler *forward[2], *backward[2];  // of one direction, and of two
  std::int64_t gates, stored;
  bool has_c, has_b_hn;
};

constexpr Cell kCells[] = {
    {"elman", {birnn_elman_forward_1, birnn_elman_forward_2},
     {birnn_elman_backward_1, birnn_elman_backward_2}, 1, 0, false, false},
    {"gru", {birnn_gru_forward_1, birnn_gru_forward_2},
     {birnn_gru_backward_1, birnn_gru_backward_2}, 3, 4, false, true},
    {"lstm", {birnn_lstm_forward_1, birnn_lstm_forward_2},
     {birnn_lstm_backward_1, birnn_lstm_backward_2}, 4, 4, true, false},
};

using Arrays = std::vector<Array>;

struct Case {
  std::int64_t rows, steps, inputs, hidden, directions, keep;
  bool has_valid, wants_params, wants_xs;

  explicit Case(std::mt19937& rng) {
    const auto pick = [&](auto... values) {
      const std::int64_t all[] = {values...};
      return all[rng() % sizeof...(values)];
    };
    rows = pick(1, 2, 3, 5, 7, 13);
    steps = pick(1, 2, 3, 6);
    inputs = pick(1, 3, 15, 16, 17, 33);
    hidden = pick(1, 7, 15, 16, 17, 31, 33, 64, 65);
    directions = pick(1, 2);
    keep = pick(1, 2);
    has_valid = pick(0, 1, 1);
    wants_params = pick(0, 1, 1);
    wants_xs = pick(0, 1);
  }
};

static Array random_mask(const Case& shape, std::mt19937& rng) {
  Array mask = Array::if_there(shape.has_valid, {shape.rows, shape.steps});
  mask.is_flags = true;
  for (std::int64_t row = 0; shape.has_valid && row < shape.rows; row++) {
    const std::int64_t length = rng() % (shape.steps + 1);
    for (std::int64_t t = 0; t < shape.steps; t++) mask.flags.push_back(t < length);
  }
  return mask;
}

// Forward and backward; returns all results.
static Arrays run(const Cell& cell, unsigned seed) {
  std::mt19937 rng(seed);
  const Case shape(rng);
  const auto [rows, steps, inputs, hidden] =
      std::tuple(shape.rows, shape.steps, shape.inputs, shape.hidden);
  const std::int64_t columns = cell.gates * hidden;
  // The outputs of all directions stand side by side, in one array before all others.
  const std::vector side_by_side{rows, steps, shape.directions * hidden};
  Arrays layers, outputs, gradients;
  outputs.emplace_back(side_by_side);
  std::vector<std::int64_t> reverse;
  const Array mask = random_mask(shape, rng);
  for (std::int64_t k = 0; k < shape.directions; k++) {
    reverse.push_back(k);
    const auto add = [&](std::vector<std::int64_t> dims) {
      layers.push_back(Array::random(std::move(dims), rng));
    };
    add({inputs, columns}), add({hidden, columns}), add({columns});
    if (cell.has_b_hn) add({hidden});
    if (cell.has_c) add({rows, hidden});
    add({rows, hidden}), add({rows, steps, inputs});
    layers.push_back(mask);

    if (cell.has_c) outputs.emplace_back(std::vector{rows, hidden});
    outputs.emplace_back(std::vector{rows, hidden});
    if (cell.has_c) outputs.emplace_back(std::vector{rows, steps, hidden});
    if (cell.stored)
      outputs.push_back(Array::if_there(shape.keep == 2, {rows, steps, cell.stored * hidden}));

    const auto add_gradient = [&](bool is_wanted, std::vector<std::int64_t> dims) {
      gradients.push_back(Array::if_there(is_wanted, std::move(dims)));
    };
    add_gradient(shape.wants_params, {inputs, columns});
    add_gradient(shape.wants_params, {hidden, columns});
    add_gradient(shape.wants_params, {columns});
    if (cell.has_b_hn) add_gradient(shape.wants_params, {hidden});
    if (cell.has_c) add_gradient(true, {rows, hidden});
    add_gradient(true, {rows, hidden});
    add_gradient(shape.wants_xs, {rows, steps, inputs});
  }
  call(cell.forward[shape.directions - 1], layers, outputs, reverse);

  // The layer of each direction is followed by what was stored and by the cotangents.
  Arrays args{outputs[0], Array::random(side_by_side, rng)};
  const std::size_t per_layer = layers.size() / shape.directions;
  const std::size_t per_output = (outputs.size() - 1) / shape.directions;
  const std::size_t carries = cell.has_c ? 2 : 1;
  for (std::int64_t k = 0; k < shape.directions; k++) {
    for (std::size_t n = 0; n < per_layer; n++) args.push_back(layers[k * per_layer + n]);
    for (std::size_t n = carries; n < per_output; n++) args.push_back(outputs[1 + k * per_output + n]);
    for (std::size_t n = 0; n < carries; n++) args.push_back(Array::random({rows, hidden}, rng));
  }
  call(cell.backward[shape.directions - 1], args, gradients, reverse);
  for (Array& gradient : gradients) outputs.push_back(std::move(gradient));
  return outputs;
}

static bool agree(const Arrays& got, const Arrays& want) {
  for (std::size_t k = 0; k < got.size(); k++)
    for (std::size_t n = 0; n < got[k].values.size(); n++) {
      const float a = got[k].values[n], b = want[k].values[n];
      if (!(std::fabs(a - b) <= 1e-4f * (1 + std::fabs(b)))) {
        std::fprintf(stderr, "result %zu, element %zu: %g instead of %g\n", k, n, a, b);
        return false;
      }
    }
  return true;
}

int main(int argc, char** argv) {
  const unsigned cases = argc > 1 ? std::atoi(argv[1]) : 60;
  int failed = 0, tried = 0;
  std::vector<Arrays> wanted;
  for (const char* isa : {"baseline", "avx2", "avx512"}) {
    if (!birnn_force_isa(isa)) continue;
    tried++;
    std::size_t index = 0;
    for (const Cell& cell : kCells)
      for (unsigned seed = 0; seed < cases; seed += 2, index += 2) {
        Arrays one, other;
        std::thread beside([&] { one = run(cell, seed); });
        other = run(cell, seed + 1);
        beside.join();
        if (tried == 1) wanted.push_back(one), wanted.push_back(other);
        const bool right = agree(one, wanted[index]) && agree(other, wanted[index + 1]);
        if (!right) std::fprintf(stderr, "%s, %s, seed %u\n", isa, cell.name, seed);
        failed += !right;
      }
    for (long size = 1; size < 40; size++) {
      std::vector<float> in(size, 0.3f), out(size);
      birnn_tanh(in.data(), out.data(), size);
      birnn_sigmoid(in.data(), out.data(), size);
    }
    std::printf("%s: %zu cases, %d failed\n", isa, index, failed);
    std::fflush(stdout);
  }
  return failed != 0 || tried == 0;
}
