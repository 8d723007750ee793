// Compiled once for every instruction set, each time into a namespace of its own.
#include "backward.h"
#include "diagonal.h"
#include "draw.h"
#include "forward.h"
#include "linear.h"
#include "layer_norms.h"
#include "minimal.h"

namespace birnn::BIRNN_ISA {
namespace {

template <Vec (*function)(Vec)>
void apply(const Scalar* in, Scalar* out, long size) {
  for (long k = 0; k < size; k += kWidth)
    store(out + k, function(load(in + k, size - k)), size - k);
}

template <class Cell>
constexpr CellKernels table(const char* name) {
  return {name, Cell::kGates, forward<Cell, Sums<Cell>>, backward<Cell>, packed_size<Cell>, pack<Cell>};
}

// The names are those of cells.py.
constexpr CellKernels kCells[] = {
    table<Elman<Tanh>>("elman"),
    table<Elman<Relu>>("relu_elman"),
    table<IndRnn>("indrnn"),
    table<ParaGru>("para_gru"),
    table<ParaLstm>("para_lstm"),
    table<Gru>("gru"),
    table<GruResetBefore>("gru_reset_before"),
    table<Lstm>("lstm"),
    table<PeepholeLstm>("peephole_lstm"),
    table<CoupledLstm>("coupled_lstm"),
    table<ProjectedLstm>("projected_lstm"),
    table<SLstm>("slstm"),
    table<LayerNormLstm<false>>("layer_norm_lstm_ba"),
    table<LayerNormLstm<true>>("layer_norm_lstm_tfa"),
    table<LayerNormGru>("layer_norm_gru_ba"),
    table<MinGru>("mingru"),
    table<MinLstm>("minlstm"),
};

#define BIRNN_STRING(x) #x
#define BIRNN_NAME(x) BIRNN_STRING(x)

}  // namespace

extern const Kernels<Scalar> kernels;
const Kernels<Scalar> kernels = {
    BIRNN_NAME(BIRNN_ISA), kCells, sizeof kCells / sizeof kCells[0], draw, fold_in,
    scan_linear, scan_linear_back, apply<tanh>, apply<sigmoid>};

}  // namespace birnn::BIRNN_ISA
