// What crosses the border between the dispatcher and the kernels of each instruction set: plain
// data and a table of functions. Arrays are dense and have the order of the Python side.
#pragma once

#include <cstdint>

namespace birnn {

// Zoneout: where `kept` is set a unit stays what it was. Without it, the expectation of that.
struct Zone {
  const bool* kept;  // [B, T, .]
  double rate;
};

// Weights of 8 bits in place of w_x and w_h, what their columns are multiplied with, [G*H], and all of
// that as `pack_bytes` made it.
struct ByteLayer {
  const std::int8_t *w_x, *w_h;
  const float *scales_x, *scales_h;
  const std::int8_t* packed;
};

// One direction of one layer. B rows, T steps, D inputs, H hidden units, G gates; the state h has
// P units, fewer than H with a projection. Pointers are null where there is nothing.
template <class Scalar>
struct Layer {
  long rows, steps, inputs, hidden, states;
  long head;                            // rows of w_h: P, or with several heads the units of one, a multiple of 16
  bool reverse;                         // from the last valid step to the first
  const Scalar *w_x, *w_h, *b;           // [D, G*H]; [P, G*H] or [head, G*H], [G*H] of cells in diagonal.h; [G*H]
  // GRU b_hn [H], peephole w_c [3H], of ParaLSTM [2H], projection w_p [H, P]; of layer normalisation see layer_norms.h
  const Scalar* extra;
  long w_h_size, extra_size;
  const Scalar* packed;                  // these weights as `pack` made them, see packed.h
  ByteLayer bytes;
  const Scalar *c, *h;                   // [B, H], of sLSTM [B, 3, H]; [B, P], before the first valid step
  const Scalar* xs;                      // [B, T, D]
  const bool* valid;                    // [B, T], null if every step is valid
  const bool* starts;                   // [B, T], where a segment begins, from start_c and start_h
  const Scalar *start_c, *start_h;       // as c and h
  const Scalar* seen;                    // [B, P], what the gates see of h is h times this
  const bool* candidate;                // [B, T, H], where the candidate is not dropped
  Scalar candidate_scale;                // of what is not dropped
  Zone zone_c, zone_h;
};

// What the forward pass returns and what it stores for the backward pass, null if not wanted.
template <class Scalar>
struct Outputs {
  Scalar *c, *h;  // as in the layer, after the last valid step
  Scalar* ys;     // [B, T, P] with y_stride between steps: the directions stand side by side
  long y_stride;
  Scalar* cs;     // [B, T, H], of sLSTM [B, T, 3, H]
  Scalar* gates;  // [B, T, S, H], see cells.h
};

// Derivatives of a scalar by the results of the forward pass; ys as there.
template <class Scalar>
struct Cotangents {
  const Scalar *c, *h, *ys;
};

// Derivatives of a scalar by the arguments of the forward pass, null if not wanted.
template <class Scalar>
struct Gradients {
  Scalar *w_x, *w_h, *b, *extra;
  Scalar *c, *h, *xs, *start_c, *start_h;
};

struct Rows {
  long begin, end;
};

// One cell. The rows of a batch can be given to several calls at a time: then every call has weight
// gradients of its own, to be added up.
template <class Scalar>
struct CellKernels {
  const char* name;
  long gates;  // G
  void (*forward)(const Layer<Scalar>&, const Outputs<Scalar>&, Rows);
  void (*backward)(const Layer<Scalar>&, const Outputs<Scalar>&, const Cotangents<Scalar>&, const Gradients<Scalar>&, Rows);
  long (*packed_size)(const Layer<Scalar>&);  // of floats; both read weights and sizes of the layer only
  void (*pack)(const Layer<Scalar>&, Scalar* out);
};

// A cell whose forward pass takes weights of 8 bits; sizes are in bytes.
struct ByteCell {
  CellKernels<float> kernels;
  void (*pack)(const Layer<float>&, std::int8_t* out);
};

struct ByteCells {
  const ByteCell* first;
  long count;
  bool& (*has_tiles)();  // whether products of many rows take them
};

// Random flags: out [rows, steps, size], true with the probability threshold / 2^23,
// or 2^52 of the kernels for double, which draw what JAX draws with 64 bits. The key of a
// step is that of its row, into which the number of the step in its segment is folded, from
// visited + 1 on, and then the site, if it is not negative.
struct Draw {
  const std::uint32_t* keys;    // [rows, 2], of threefry2x32
  const std::int32_t* visited;  // [rows]
  const bool *valid, *starts;   // [rows, steps] or null
  bool reverse;
  long steps, size;
  std::int64_t site;
  std::int64_t threshold;
  bool* out;
};

// Keys of threefry2x32, into each of which a number is folded.
struct FoldIn {
  const std::uint32_t *keys, *numbers;  // [rows, 2], [rows]
  std::uint32_t* out;                   // [rows, 2]
};

// h = a h + b over the valid steps of every row, of `units` units.
template <class Scalar>
struct Linear {
  long steps, units;
  bool reverse;
  const Scalar *a, *b;          // [rows, steps, units]
  const Scalar *h, *start_h;    // [rows, units], before the first step, and of each segment
  const bool *valid, *starts;  // [rows, steps] or null
  Scalar *ys, *last;            // [rows, steps, units], zero where not valid; [rows, units]
  Scalar* befores;              // h before each step, or null
};

// The transpose in (b, h, start_h); of the scan a, valid, starts and its order are read.
template <class Scalar>
struct LinearBack {
  Linear<Scalar> scan;
  const Scalar *d_ys, *d_last;
  Scalar *d_b, *d_h, *d_start;  // d_start null without starts
};

template <class Scalar>
struct Kernels {
  const char* isa;
  const CellKernels<Scalar>* cells;
  long cell_count;
  void (*draw)(const Draw&, Rows);
  void (*fold_in)(const FoldIn&, Rows);
  void (*scan_linear)(const Linear<Scalar>&, Rows);
  void (*scan_linear_back)(const LinearBack<Scalar>&, Rows);
  void (*tanh)(const Scalar* in, Scalar* out, long size);
  void (*sigmoid)(const Scalar* in, Scalar* out, long size);
};

}  // namespace birnn
