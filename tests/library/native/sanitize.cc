// Calls the native kernels on random ragged cases, from two threads at once: built with a
// sanitiser by `make sanitize`. Every instruction set must agree with the first.
#include <cmath>
#include <cstdint>
#include <functional>
#include <string_view>

#include "host.h"

extern "C" {
XLA_FFI_Handler birnn_forward_1, birnn_forward_2, birnn_backward_1, birnn_backward_2, birnn_pack, birnn_forward_bytes_1,
    birnn_pack_bytes, birnn_draw,
    birnn_fold_in, birnn_linear_forward, birnn_linear_backward;
int birnn_force_isa(const char*);
long birnn_packed_size(const char*, long, long, long, long);
long birnn_packed_bytes(const char*, long, long, long, long);
void birnn_tanh(const float*, float*, long);
void birnn_sigmoid(const float*, float*, long);
}

constexpr XLA_FFI_Handler* kForward[] = {birnn_forward_1, birnn_forward_2};
constexpr XLA_FFI_Handler* kBackward[] = {birnn_backward_1, birnn_backward_2};

struct Cell {
  const char* name;
  std::int64_t gates, stored;
  std::int64_t parts;  // of the cell state
  enum { kNothing, kBHn, kWC, kWP, kOfLstmNorms, kOfGruNorms, kOfParaLstm } extra;
  bool has_vector_w_h, takes_heads = false, has_w_h = true;
};

constexpr Cell kCells[] = {
    {"elman", 1, 1, 0, Cell::kNothing, false},
    {"relu_elman", 1, 1, 0, Cell::kNothing, false},
    {"indrnn", 1, 1, 0, Cell::kNothing, true},
    {"gru", 3, 4, 0, Cell::kBHn, false, true},
    {"gru_reset_before", 3, 3, 0, Cell::kNothing, false},
    {"lstm", 4, 4, 1, Cell::kNothing, false, true},
    {"peephole_lstm", 4, 4, 1, Cell::kWC, false, true},
    {"coupled_lstm", 3, 3, 1, Cell::kNothing, false},
    {"projected_lstm", 4, 4, 1, Cell::kWP, false},
    {"slstm", 4, 4, 3, Cell::kNothing, false, true},
    {"para_gru", 3, 3, 0, Cell::kNothing, true},
    {"para_lstm", 3, 3, 1, Cell::kOfParaLstm, true},
    {"layer_norm_lstm_ba", 4, 0, 1, Cell::kOfLstmNorms, false, true},
    {"layer_norm_lstm_tfa", 4, 0, 1, Cell::kOfLstmNorms, false, true},
    {"layer_norm_gru_ba", 3, 0, 0, Cell::kOfGruNorms, false},
    {"mingru", 2, 2, 0, Cell::kNothing, false, false, false},
    {"minlstm", 3, 3, 0, Cell::kNothing, false, false, false},
};

using Arrays = std::vector<Array>;

struct Case {
  std::int64_t rows, steps, inputs, hidden, directions, keep;
  bool has_valid, wants_params, wants_xs, has_starts, has_noise[4];

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
    has_starts = pick(0, 1);
    for (bool& has : has_noise) has = pick(0, 1);
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

static std::vector<XLA_FFI_ByteSpan> name_cells() {
  std::vector<XLA_FFI_ByteSpan> names;
  for (const Cell& cell : kCells) names.push_back({cell.name, std::strlen(cell.name)});
  return names;
}

// The static ones are made once, and only read by the threads.
static Attributes attributes_of(const Cell& cell, std::int64_t directions) {
  static std::int64_t reverse[] = {0, 1};
  static double rates[] = {1.25, 0.2, 0.3, 1.0, 0.0, 0.0};
  static std::vector<XLA_FFI_ByteSpan> names = name_cells();
  static XLA_FFI_Array reverses[] = {{XLA_FFI_DataType_S64, 1, reverse},
                                     {XLA_FFI_DataType_S64, 2, reverse}};
  static XLA_FFI_Array all_rates[] = {{XLA_FFI_DataType_F64, 3, rates},
                                      {XLA_FFI_DataType_F64, 6, rates}};
  Attributes attributes;
  attributes.add("cell", XLA_FFI_AttrType_STRING, &names[&cell - kCells]);
  attributes.add("rates", XLA_FFI_AttrType_ARRAY, &all_rates[directions - 1]);
  attributes.add("reverse", XLA_FFI_AttrType_ARRAY, &reverses[directions - 1]);
  return attributes;
}

// The weights of a direction, packed, by its arrays.
static Array pack(const Cell& cell, const Array* layer, std::int64_t states) {
  const auto& [inputs, columns] = std::pair(layer[0].shape[0], layer[0].shape[1]);
  Arrays args{layer[0], layer[1], layer[3]};
  Arrays rets{Array({birnn_packed_size(cell.name, inputs, columns, states, layer[1].shape[0])})};
  XLA_FFI_ByteSpan name{cell.name, std::strlen(cell.name)};
  XLA_FFI_Scalar size{XLA_FFI_DataType_S64, &states};
  Attributes attributes;
  attributes.add("cell", XLA_FFI_AttrType_STRING, &name);
  attributes.add("states", XLA_FFI_AttrType_SCALAR, &size);
  call(birnn_pack, args, rets, attributes);
  return rets[0];
}

// Forward and backward; returns all results.
static Arrays run(const Cell& cell, unsigned seed) {
  std::mt19937 rng(seed);
  const Case shape(rng);
  const auto [rows, steps, inputs, hidden] =
      std::tuple(shape.rows, shape.steps, shape.inputs, shape.hidden);
  const std::int64_t states = cell.extra == Cell::kWP ? (hidden + 1) / 2 : hidden;
  const std::int64_t columns = cell.gates * hidden;
  const std::int64_t extra[] = {0, hidden, 3 * hidden, hidden * states, 10 * hidden,
                                7 * hidden, 2 * hidden};
  // The outputs of all directions stand side by side, in one array before all others.
  const std::vector side_by_side{rows, steps, shape.directions * states};
  Arrays layers, outputs, gradients, d_carries;
  outputs.emplace_back(side_by_side);
  const Array mask = random_mask(shape, rng);
  for (std::int64_t k = 0; k < shape.directions; k++) {
    const auto add = [&](bool is_there, std::vector<std::int64_t> dims) {
      Array array = Array::if_there(is_there, std::move(dims));
      layers.push_back(Array::random(array.shape, rng));
    };
    const auto add_flags = [&](bool are_there, std::vector<std::int64_t> dims) {
      layers.push_back(Array::random_flags(are_there, std::move(dims), rng));
    };
    // Some cells may have heads, of whole vectors.
    const std::int64_t head = cell.takes_heads && hidden == 64 && seed % 3 ? 16 * (seed % 3) : states;
    const std::vector w_h{cell.has_vector_w_h ? 1 : head, columns};
    const std::vector of_c{rows, cell.parts * hidden}, of_h{rows, states};
    add(true, {inputs, columns}), add(cell.has_w_h, w_h), add(true, {columns});
    add(true, {extra[cell.extra]});
    add(cell.parts, of_c), add(true, of_h);
    add(true, {rows, steps, inputs});
    layers.push_back(mask);
    add_flags(shape.has_starts, {rows, steps});
    add(cell.parts && shape.has_starts, of_c), add(shape.has_starts, of_h);
    add(shape.has_noise[0], of_h);
    add_flags(shape.has_noise[1], {rows, steps, hidden});
    add_flags(shape.has_noise[2] && cell.parts, {rows, steps, hidden});
    add_flags(shape.has_noise[3], {rows, steps, states});

    const auto add_result = [](Arrays& to, bool is_wanted, std::vector<std::int64_t> dims) {
      to.push_back(Array::if_there(is_wanted, std::move(dims)));
    };
    // Zoneout changes what is stored in the outputs: then the gates are.
    add_result(outputs, cell.parts, of_c), add_result(outputs, true, of_h);
    add_result(outputs, cell.parts, {rows, steps, cell.parts * hidden});
    add_result(outputs, shape.keep == 2 && cell.stored, {rows, steps, cell.stored * hidden});
    add_result(gradients, shape.wants_params, {inputs, columns});
    add_result(gradients, shape.wants_params && cell.has_w_h, w_h);
    add_result(gradients, shape.wants_params, {columns});
    add_result(gradients, shape.wants_params, {extra[cell.extra]});
    add_result(gradients, cell.parts, of_c), add_result(gradients, true, of_h);
    add_result(gradients, shape.wants_xs, {rows, steps, inputs});
    add_result(gradients, cell.parts && shape.has_starts, of_c);
    add_result(gradients, shape.has_starts, of_h);
    d_carries.push_back(Array::random(cell.parts ? of_c : std::vector<std::int64_t>{0, 0}, rng));
    d_carries.push_back(Array::random(of_h, rng));
  }
  Attributes attributes = attributes_of(cell, shape.directions);
  const std::size_t per_layer = layers.size() / shape.directions;
  Arrays forward_args;
  for (std::int64_t k = 0; k < shape.directions; k++) {
    const Array* layer = &layers[k * per_layer];
    forward_args.insert(forward_args.end(), layer, layer + per_layer);
    forward_args.push_back(seed % 4 < 2 ? pack(cell, layer, states) : Array({0}));
  }
  call(kForward[shape.directions - 1], forward_args, outputs, attributes);

  // The layer of each direction is followed by what was stored and by the cotangents.
  Arrays args{outputs[0], Array::random(side_by_side, rng)};
  for (std::int64_t k = 0; k < shape.directions; k++) {
    for (std::size_t n = 0; n < per_layer; n++) args.push_back(layers[k * per_layer + n]);
    for (std::size_t n = 2; n < 4; n++) args.push_back(outputs[1 + k * 4 + n]);
    for (std::size_t n = 0; n < 2; n++) args.push_back(d_carries[k * 2 + n]);
  }
  call(kBackward[shape.directions - 1], args, gradients, attributes);
  for (Array& gradient : gradients) outputs.push_back(std::move(gradient));
  return outputs;
}

// A forward pass in one direction with weights of 8 bits, packed or not; returns all results.
static Arrays run_bytes(const Cell& cell, unsigned seed) {
  std::mt19937 rng(seed);
  const Case shape(rng);
  const auto [rows, steps, inputs, hidden] =
      std::tuple(shape.rows, shape.steps, shape.inputs, shape.hidden);
  const std::int64_t columns = cell.gates * hidden;
  const std::vector of_h{rows, hidden};
  const auto scales = [&] {
    Array array = Array::random({columns}, rng);
    for (float& value : array.values) value = std::fabs(value) / 127;
    return array;
  };
  Arrays matrices{Array::random_bytes({inputs, columns}, rng),
                  Array::random_bytes({hidden, columns}, rng), scales(), scales()};
  Array packed = Array::bytes({0});
  if (seed % 2) {
    Arrays rets{Array::bytes({birnn_packed_bytes(cell.name, inputs, columns, hidden, hidden)})};
    XLA_FFI_ByteSpan name{cell.name, std::strlen(cell.name)};
    XLA_FFI_Scalar size{XLA_FFI_DataType_S64, const_cast<std::int64_t*>(&of_h[1])};
    Attributes attributes;
    attributes.add("cell", XLA_FFI_AttrType_STRING, &name);
    attributes.add("states", XLA_FFI_AttrType_SCALAR, &size);
    call(birnn_pack_bytes, matrices, rets, attributes);
    packed = rets[0];
  }
  const auto random = [&](bool is_there, std::vector<std::int64_t> dims) {
    return Array::random(Array::if_there(is_there, std::move(dims)).shape, rng);
  };
  Array no_flags = Array::random_flags(false, {rows, steps, hidden}, rng);
  Arrays args{matrices[0], matrices[1], random(true, {columns}),
              random(cell.extra == Cell::kBHn, {hidden}), random(cell.parts, of_h),
              random(true, of_h), random(true, {rows, steps, inputs}), random_mask(shape, rng),
              Array::random_flags(shape.has_starts, {rows, steps}, rng),
              random(cell.parts && shape.has_starts, of_h), random(shape.has_starts, of_h),
              random(shape.has_noise[0], of_h), no_flags, no_flags, no_flags, packed, matrices[2],
              matrices[3]};
  Arrays rets{Array({rows, steps, hidden}), Array::if_there(cell.parts, of_h), Array(of_h),
              Array({0, 0, 0}), Array({0, 0, 0})};
  Attributes attributes = attributes_of(cell, 1);
  call(birnn_forward_bytes_1, args, rets, attributes);
  return rets;
}

// Flags of any size, over rows in several tasks.
static void draw(std::int64_t size) {
  std::mt19937 rng(size);
  const std::int64_t rows = 5, steps = 3;
  Array keys({rows, 2}), visited({rows}), flags({rows, steps, size});
  keys.dtype = XLA_FFI_DataType_U32, visited.dtype = XLA_FFI_DataType_S32;
  flags.is_flags = true, flags.flags.resize(flags.size());
  Arrays args{keys, visited, Array::random_flags(size % 2, {rows, steps}, rng),
              Array::random_flags(size % 3, {rows, steps}, rng)};
  Arrays rets{flags};
  bool reverse = size % 2;
  std::int64_t numbers[] = {1, 1 << 22};
  XLA_FFI_Scalar scalars[] = {{XLA_FFI_DataType_PRED, &reverse},
                              {XLA_FFI_DataType_S64, &numbers[0]},
                              {XLA_FFI_DataType_S64, &numbers[1]}};
  Attributes attributes;
  attributes.add("reverse", XLA_FFI_AttrType_SCALAR, &scalars[0]);
  attributes.add("site", XLA_FFI_AttrType_SCALAR, &scalars[1]);
  attributes.add("threshold", XLA_FFI_AttrType_SCALAR, &scalars[2]);
  call(birnn_draw, args, rets, attributes);

  Array data({rows}), folded({rows, 2});
  data.dtype = folded.dtype = XLA_FFI_DataType_U32;
  Arrays fold_args{keys, data}, fold_rets{folded};
  Attributes nothing;
  call(birnn_fold_in, fold_args, fold_rets, nothing);
}

// The scan of linear cells and its transpose, of any size.
static void scan_linear(std::int64_t size) {
  std::mt19937 rng(size);
  const std::int64_t rows = 1 + size % 7, steps = size % 5;
  const bool has_starts = size % 2;
  const std::vector<std::int64_t> all{rows, steps, size}, of_h{rows, size};
  const Array a = Array::random(all, rng), valid = Array::random_flags(size % 3, {rows, steps}, rng);
  const Array starts = Array::random_flags(has_starts, {rows, steps}, rng);
  const Array start = Array::random(Array::if_there(has_starts, of_h).shape, rng);
  bool reverse = size % 4 < 2;
  XLA_FFI_Scalar scalar = {XLA_FFI_DataType_PRED, &reverse};
  Attributes attributes;
  attributes.add("reverse", XLA_FFI_AttrType_SCALAR, &scalar);
  Arrays args{a, valid, starts, Array::random(all, rng), Array::random(of_h, rng), start};
  Arrays rets{Array(all), Array(of_h), Array::if_there(size % 5, all)};
  call(birnn_linear_forward, args, rets, attributes);
  Arrays back_args{a, valid, starts, Array::random(all, rng), Array::random(of_h, rng)};
  Arrays back_rets{Array(all), Array(of_h), Array(start.shape)};
  call(birnn_linear_backward, back_args, back_rets, attributes);
}

static bool agree(const Arrays& got, const Arrays& want, float tolerance = 1e-4f) {
  for (std::size_t k = 0; k < got.size(); k++)
    for (std::size_t n = 0; n < got[k].values.size(); n++) {
      const float a = got[k].values[n], b = want[k].values[n];
      if (!(std::fabs(a - b) <= tolerance * (1 + std::fabs(b)))) {
        std::fprintf(stderr, "result %zu, element %zu: %g instead of %g\n", k, n, a, b);
        return false;
      }
    }
  return true;
}

int main(int argc, char** argv) {
  const unsigned cases = argc > 1 ? std::atoi(argv[1]) : 24;
  int failed = 0, tried = 0;
  std::vector<Arrays> wanted, wanted_bytes;
  for (const char* isa : {"baseline", "avx2", "avx512"}) {
    if (!birnn_force_isa(isa)) continue;
    tried++;
    std::size_t index = 0, index_bytes = 0;
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
    for (const Cell& cell : kCells)
      for (unsigned seed = 0; seed < cases; seed++) {
        if (cell.name != std::string_view("gru") && cell.name != std::string_view("lstm")) continue;
        Arrays results = run_bytes(cell, seed);
        if (tried == 1) wanted_bytes.push_back(results);
        // Rounding may go either way, by one of 127 levels.
        const bool right = agree(results, wanted_bytes[index_bytes++], 3e-2f);
        if (!right) std::fprintf(stderr, "%s, %s, 8 bits, seed %u\n", isa, cell.name, seed);
        failed += !right;
      }
    for (long size = 1; size < 40; size++) {
      std::vector<float> in(size, 0.3f), out(size);
      birnn_tanh(in.data(), out.data(), size);
      birnn_sigmoid(in.data(), out.data(), size);
      draw(size);
      scan_linear(size);
    }
    std::printf("%s: %zu cases, %d failed\n", isa, index, failed);
    std::fflush(stdout);
  }
  return failed != 0 || tried == 0;
}
