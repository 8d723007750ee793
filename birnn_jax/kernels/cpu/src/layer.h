// What crosses the border between the dispatcher and the kernels of each instruction set: plain
// data and a table of functions. Arrays are dense and have the order of the Python side.
#pragma once

namespace birnn {

// Which arrays a cell has: G gates, and so many arrays of gates stored for the backward pass.
struct ElmanArrays {
  static constexpr int kGates = 1, kStored = 0;
  static constexpr bool kHasC = false, kHasBHn = false;
};

struct GruArrays {
  static constexpr int kGates = 3, kStored = 4;
  static constexpr bool kHasC = false, kHasBHn = true;
};

struct LstmArrays {
  static constexpr int kGates = 4, kStored = 4;
  static constexpr bool kHasC = true, kHasBHn = false;
};

// One direction of one layer. B rows, T steps, D inputs, H hidden units, G gates.
struct Layer {
  long rows, steps, inputs, hidden;
  bool reverse;                // from the last valid step to the first
  const float *w_x, *w_h;      // [D, G*H], [H, G*H]
  const float *b, *b_hn;       // [G*H], and for the GRU [H]
  const float *c, *h;          // [B, H], before the first valid step; c for the LSTM
  const float* xs;             // [B, T, D]
  const bool* valid;            // [B, T], null if every step is valid
};

// What the forward pass returns and what it stores for the backward pass, null if not wanted.
struct Outputs {
  float *c, *h;  // [B, H], after the last valid step
  float* ys;     // [B, T, H] with y_stride between steps: the directions stand side by side
  long y_stride;
  float* cs;     // [B, T, H], LSTM
  float* gates;  // [B, T, S, H], see cells.h
};

// Derivatives of a scalar by the results of the forward pass; ys as there.
struct Cotangents {
  const float *c, *h, *ys;
};

// Derivatives of a scalar by the arguments of the forward pass, null if not wanted.
struct Gradients {
  float *w_x, *w_h, *b, *b_hn;
  float *c, *h, *xs;
};

struct Rows {
  long begin, end;
};

// The functions of one cell. The rows of a batch can be given to several calls at a time: then
// every call has weight gradients of its own, to be added up.
struct CellKernels {
  void (*forward)(const Layer&, const Outputs&, Rows);
  void (*backward)(const Layer&, const Outputs&, const Cotangents&, const Gradients&, Rows);
};

struct Kernels {
  const char* isa;
  CellKernels elman, gru, lstm;
  void (*tanh)(const float* in, float* out, long size);
  void (*sigmoid)(const float* in, float* out, long size);
};

}  // namespace birnn
