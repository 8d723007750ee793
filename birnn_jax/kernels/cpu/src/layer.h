// What crosses the border between the dispatcher and the kernels of each instruction set: plain
// data and a table of functions. Arrays are dense and have the order of the Python side.
#pragma once

#include <cstdint>

namespace birnn {

// Zoneout: where `kept` is set a unit stays what it was. Without it, the expectation of that.
struct Zone {
  const bool* kept;  // [B, T, .]
  float rate;
};

// One direction of one layer. B rows, T steps, D inputs, H hidden units, G gates; the state h has
// P units, fewer than H with a projection. Pointers are null where there is nothing.
struct Layer {
  long rows, steps, inputs, hidden, states;
  bool reverse;                         // from the last valid step to the first
  const float *w_x, *w_h, *b;           // [D, G*H]; [P, G*H], or [H] of IndRNN; [G*H]
  // GRU b_hn [H], peephole w_c [3H], projection w_p [H, P]; of layer normalisation see layer_norms.h
  const float* extra;
  long w_h_size, extra_size;
  const float* packed;                  // these weights as `pack` made them, see packed.h
  const float *c, *h;                   // [B, H], [B, P], before the first valid step
  const float* xs;                      // [B, T, D]
  const bool* valid;                    // [B, T], null if every step is valid
  const bool* starts;                   // [B, T], where a segment begins, from start_c and start_h
  const float *start_c, *start_h;       // as c and h
  const float* seen;                    // [B, P], what the gates see of h is h times this
  const bool* candidate;                // [B, T, H], where the candidate is not dropped
  float candidate_scale;                // of what is not dropped
  Zone zone_c, zone_h;
};

// What the forward pass returns and what it stores for the backward pass, null if not wanted.
struct Outputs {
  float *c, *h;  // [B, H], [B, P], after the last valid step
  float* ys;     // [B, T, P] with y_stride between steps: the directions stand side by side
  long y_stride;
  float* cs;     // [B, T, H]
  float* gates;  // [B, T, S, H], see cells.h
};

// Derivatives of a scalar by the results of the forward pass; ys as there.
struct Cotangents {
  const float *c, *h, *ys;
};

// Derivatives of a scalar by the arguments of the forward pass, null if not wanted.
struct Gradients {
  float *w_x, *w_h, *b, *extra;
  float *c, *h, *xs, *start_c, *start_h;
};

struct Rows {
  long begin, end;
};

// One cell. The rows of a batch can be given to several calls at a time: then every call has weight
// gradients of its own, to be added up.
struct CellKernels {
  const char* name;
  long gates;  // G
  void (*forward)(const Layer&, const Outputs&, Rows);
  void (*backward)(const Layer&, const Outputs&, const Cotangents&, const Gradients&, Rows);
  long (*packed_size)(const Layer&);  // of floats; both read weights and sizes of the layer only
  void (*pack)(const Layer&, float* out);
};

// Random flags: out [rows, steps, size], true with the probability threshold / 2^23. The key of a
// step is that of its row, into which the number of the step in its segment is folded, from
// visited + 1 on, and then the site, if it is not negative.
struct Draw {
  const std::uint32_t* keys;    // [rows, 2], of threefry2x32
  const std::int32_t* visited;  // [rows]
  const bool *valid, *starts;   // [rows, steps] or null
  bool reverse;
  long steps, size;
  std::int64_t site;
  std::int32_t threshold;
  bool* out;
};

// Keys of threefry2x32, into each of which a number is folded.
struct FoldIn {
  const std::uint32_t *keys, *numbers;  // [rows, 2], [rows]
  std::uint32_t* out;                   // [rows, 2]
};

// h = a h + b over the valid steps of every row, of `units` units.
struct Linear {
  long steps, units;
  bool reverse;
  const float *a, *b;          // [rows, steps, units]
  const float *h, *start_h;    // [rows, units], before the first step, and of each segment
  const bool *valid, *starts;  // [rows, steps] or null
  float *ys, *last;            // [rows, steps, units], zero where not valid; [rows, units]
  float* befores;              // h before each step, or null
};

// The transpose in (b, h, start_h); of the scan a, valid, starts and its order are read.
struct LinearBack {
  Linear scan;
  const float *d_ys, *d_last;
  float *d_b, *d_h, *d_start;  // d_start null without starts
};

struct Kernels {
  const char* isa;
  const CellKernels* cells;
  long cell_count;
  void (*draw)(const Draw&, Rows);
  void (*fold_in)(const FoldIn&, Rows);
  void (*scan_linear)(const Linear&, Rows);
  void (*scan_linear_back)(const LinearBack&, Rows);
  void (*tanh)(const float* in, float* out, long size);
  void (*sigmoid)(const float* in, float* out, long size);
};

}  // namespace birnn
