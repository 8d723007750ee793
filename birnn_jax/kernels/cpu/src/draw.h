// Random flags by the generator of jax.random.key, threefry2x32.
#pragma once

#include "layer.h"
#include "vector.h"

namespace birnn::BIRNN_ISA {

template <class Word>
struct Pair {
  Word first, second;
};

// Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011: 20 rounds.
template <class Word>
BIRNN_INLINE Pair<Word> threefry(Pair<std::uint32_t> key, Pair<Word> x) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const std::uint32_t keys[3] = {key.first, key.second, key.first ^ key.second ^ 0x1BD11BDA};
  x.first += keys[0], x.second += keys[1];
#pragma GCC unroll 5
  for (int group = 0; group < 5; group++) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
      const int by = kRotations[group % 2][k];
      x.first += x.second;
      x.second = x.first ^ (x.second << by | x.second >> (32 - by));
    }
    x.first += keys[(group + 1) % 3];
    x.second += keys[(group + 2) % 3] + (group + 1);
  }
  return x;
}

// As jax.random.fold_in.
inline Pair<std::uint32_t> fold_in(Pair<std::uint32_t> key, std::uint32_t data) {
  return threefry<std::uint32_t>(key, {0, data});
}

inline void fold_in(const FoldIn& fold, Rows rows) {
  for (long row = rows.begin; row < rows.end; row++) {
    const std::uint32_t* key = fold.keys + 2 * row;
    const Pair<std::uint32_t> folded = fold_in({key[0], key[1]}, fold.numbers[row]);
    fold.out[2 * row] = folded.first, fold.out[2 * row + 1] = folded.second;
  }
}

BIRNN_INLINE Ints widen(Words words) { return __builtin_convertvector(words, Ints); }

inline void draw_step(const Draw& draw, Pair<std::uint32_t> key, bool* out) {
  if (draw.site >= 0) key = fold_in(key, draw.site);
  Words lanes;
  for (long k = 0; k < kWidth; k++) lanes[k] = k;
  for (long j = 0; j < draw.size; j += kWidth) {
    const Pair<Words> bits = threefry<Words>(key, {Words{}, lanes + std::uint32_t(j)});
    // The number drawn has these bits behind the point, 23 or 52.
    Ints number;
    if constexpr (kIsDouble)
      number = widen(bits.first) << 20 | widen(bits.second >> 12);
    else
      number = widen((bits.first ^ bits.second) >> 9);
    store_flags(out + j, number < Int(draw.threshold), draw.size - j);
  }
}

inline void draw(const Draw& draw, Rows rows) {
  for (long row = rows.begin; row < rows.end; row++) {
    std::int32_t number = draw.visited[row];
    for (long k = 0; k < draw.steps; k++) {
      const long at = row * draw.steps + (draw.reverse ? draw.steps - 1 - k : k);
      bool* out = draw.out + at * draw.size;
      if (draw.valid && !draw.valid[at]) {
        std::memset(out, 0, draw.size);
        continue;
      }
      if (draw.starts && draw.starts[at]) number = 0;
      draw_step(draw, fold_in({draw.keys[2 * row], draw.keys[2 * row + 1]}, ++number), out);
    }
  }
}

}  // namespace birnn::BIRNN_ISA
