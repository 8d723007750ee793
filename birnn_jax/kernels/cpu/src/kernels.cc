// Compiled once for every instruction set, each time into a namespace of its own.
#include "backward.h"
#include "forward.h"

namespace birnn::BIRNN_ISA {
namespace {

template <Vec (*function)(Vec)>
void apply(const float* in, float* out, long size) {
  for (long k = 0; k < size; k += kWidth)
    store(out + k, function(load(in + k, size - k)), size - k);
}

template <class Cell>
constexpr CellKernels table() {
  return {forward<Cell>, backward<Cell>};
}

#define BIRNN_STRING(x) #x
#define BIRNN_NAME(x) BIRNN_STRING(x)

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {BIRNN_NAME(BIRNN_ISA), table<Elman>(), table<Gru>(), table<Lstm>(),
                         apply<tanh>,           apply<sigmoid>};

}  // namespace birnn::BIRNN_ISA
