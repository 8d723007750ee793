// The forward passes of weights of 8 bits, compiled as kernels.cc is.
#include "byte_sums.h"
#include "forward.h"
#include "lstms.h"

namespace birnn::BIRNN_ISA {
namespace {

template <class Cell>
constexpr ByteCell table(const char* name) {
  return {{name, Cell::kGates, forward<Cell, ByteSums<Cell>>, nullptr, PackedBytes<Cell>::size, nullptr},
          PackedBytes<Cell>::pack};
}

constexpr ByteCell kCells[] = {table<Gru>("gru"), table<Lstm>("lstm")};

}  // namespace

extern const ByteCells byte_cells;
const ByteCells byte_cells = {kCells, sizeof kCells / sizeof kCells[0], has_tiles};

}  // namespace birnn::BIRNN_ISA
