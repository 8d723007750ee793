// Layer normalisation of rows of sums, between a product and what the cell makes of it.
//
// A row has its sums where columns.h puts them: those of panel p stand at row + p * stride.
#pragma once

#include <cmath>

#include "columns.h"
#include "memory.h"

namespace birnn::BIRNN_ISA {

// All sums are in one norm.
struct OneNorm {
  static constexpr int kFirst = 0, kCount = kSums, kNorms = 1;
  static constexpr int kOf[kSums] = {};
};

BIRNN_INLINE Scalar add_up(Vec v) {
  Scalar lanes[kWidth];
  store(lanes, v);
  for (long half = kWidth / 2; half > 0; half /= 2)
    for (long k = 0; k < half; k++) lanes[k] += lanes[k + half];
  return lanes[0];
}

BIRNN_INLINE Vec keep_first(Vec v, long size) {
  if (size >= kWidth) return v;
  Scalar lanes[kWidth];
  store(lanes, v);
  return load(lanes, size);
}

// Columns [G*H] as they stand among the sums first to first + count - 1 of each panel, else zero.
inline void pack_columns(Layout layout, long hidden, int first, int count, const Scalar* columns,
                         Scalar* out) {
  const long panels = layout.count_panels(hidden);
  std::memset(out, 0, panels * kPanel * sizeof(Scalar));
  for (long panel = 0; panel < panels; panel++)
    for (int sum = first; sum < first + count; sum++) {
      const Columns from(layout, hidden, panel, sum);
      store(out + panel * kPanel + sum * kWidth,
            load(columns + from.gate * hidden + from.unit, from.size));
    }
}

// And back.
inline void unpack_columns(Layout layout, long hidden, int first, int count, const Scalar* packed,
                           Scalar* columns) {
  for (long panel = 0; panel < layout.count_panels(hidden); panel++)
    for (int sum = first; sum < first + count; sum++) {
      const Columns to(layout, hidden, panel, sum);
      store(columns + to.gate * hidden + to.unit, load(packed + panel * kPanel + sum * kWidth),
            to.size);
    }
}

// Sums Which::kFirst to kFirst + kCount - 1 of every panel, each in norm number kOf[sum].
template <class Which>
class RowNorm {
 public:
  static constexpr int kNorms = Which::kNorms;

  struct Moments {
    Vec mean[kNorms], inverse[kNorms];  // inverse of the standard deviation
  };

  // `scale` multiplies what is normalised.
  RowNorm(Layout layout, long hidden, const Scalar* scale, double epsilon)
      : layout_(layout),
        hidden_(hidden),
        epsilon_(static_cast<Scalar>(epsilon)),
        scale_(layout.count_panels(hidden) * kPanel) {
    pack_columns(layout, hidden, Which::kFirst, Which::kCount, scale, scale_);
    for_sums([&](long, int sum, long size) { sizes_[Which::kOf[sum]] += size; });
  }

  Moments measure(const Scalar* row, long stride) const {
    Moments moments;
    Vec totals[kSums] = {}, squares[kSums] = {};
    for_sums([&](long panel, int sum, long size) {
      totals[sum] += load(row + panel * stride + sum * kWidth, size);
    });
    put_means(totals, moments.mean);
    for_sums([&](long panel, int sum, long size) {
      const Vec x = load(row + panel * stride + sum * kWidth, size);
      const Vec centred = keep_first(x - moments.mean[Which::kOf[sum]], size);
      squares[sum] += centred * centred;
    });
    put_means(squares, moments.inverse);
    for (Vec& inverse : moments.inverse)
      inverse = broadcast(1 / std::sqrt(inverse[0] + epsilon_));
    return moments;
  }

  // What is normalised, times the scale.
  BIRNN_INLINE Vec apply(const Moments& moments, long panel, int sum, Vec x) const {
    const int norm = Which::kOf[sum];
    return (x - moments.mean[norm]) * moments.inverse[norm] * scale(panel, sum);
  }

  // The same in two steps: the sums become normalised where they stand, and keep their inverses.
  void normalise(Scalar* row, long stride, Scalar* inverses) const {
    const Moments moments = measure(row, stride);
    for_sums([&](long panel, int sum, long size) {
      const int norm = Which::kOf[sum];
      Scalar* at = row + panel * stride + sum * kWidth;
      store(at, keep_first((load(at) - moments.mean[norm]) * moments.inverse[norm], size));
    });
    for (int norm = 0; norm < kNorms; norm++) inverses[norm] = moments.inverse[norm][0];
  }

  BIRNN_INLINE Vec scale(long panel, int sum) const {
    return load(scale_ + panel * kPanel + sum * kWidth);
  }

  // From d_row, the derivatives by scaled results, to those by the sums, in `out`, which may be the
  // row itself; adds those by the scale to d_scale, [panels, kPanel].
  void differentiate(const Scalar* row, long stride, const Scalar* inverses, const Scalar* d_row,
                     long d_stride, Scalar* d_scale, Scalar* out) const {
    Vec totals[kSums] = {}, products[kSums] = {}, mean[kNorms], slope[kNorms];
    for_sums([&](long panel, int sum, long size) {
      const Vec x = load(row + panel * stride + sum * kWidth, size);
      const Vec d = load(d_row + panel * d_stride + sum * kWidth, size);
      const Vec d_x = rounded(d * scale(panel, sum));
      Scalar* d_s = d_scale + panel * kPanel + sum * kWidth;
      store(d_s, load(d_s) + d * x);
      totals[sum] += d_x, products[sum] += d_x * x;
    });
    put_means(totals, mean), put_means(products, slope);
    for_sums([&](long panel, int sum, long) {
      const int norm = Which::kOf[sum];
      const Vec x = load(row + panel * stride + sum * kWidth);
      const Vec d_x = rounded(load(d_row + panel * d_stride + sum * kWidth) * scale(panel, sum));
      store(out + panel * stride + sum * kWidth,
            (d_x - mean[norm] - x * slope[norm]) * inverses[norm]);
    });
  }

  void unpack(const Scalar* packed, Scalar* columns) const {
    unpack_columns(layout_, hidden_, Which::kFirst, Which::kCount, packed, columns);
  }

 private:
  // function(panel, sum, how many of its units there are)
  template <class F>
  BIRNN_INLINE void for_sums(F function) const {
    const long whole = hidden_ / (layout_.units * kWidth);
    for (long panel = 0; panel < whole; panel++)
#pragma GCC unroll 4
      for (int n = 0; n < Which::kCount; n++) function(panel, Which::kFirst + n, kWidth);
    if (whole == layout_.count_panels(hidden_)) return;
#pragma GCC unroll 4
    for (int n = 0; n < Which::kCount; n++) {
      const Columns from(layout_, hidden_, whole, Which::kFirst + n);
      if (from.size > 0) function(whole, Which::kFirst + n, from.size);
    }
  }

  void put_means(const Vec (&totals)[kSums], Vec (&means)[kNorms]) const {
    Vec sums[kNorms] = {};
    for (int n = Which::kFirst; n < Which::kFirst + Which::kCount; n++)
      sums[Which::kOf[n]] += totals[n];
    for (int norm = 0; norm < kNorms; norm++)
      means[norm] = broadcast(add_up(sums[norm]) / sizes_[norm]);
  }

  const Layout layout_;
  const long hidden_;
  const Scalar epsilon_;
  const Array<Scalar> scale_;  // [panels, kPanel]
  long sizes_[kNorms] = {};
};

}  // namespace birnn::BIRNN_ISA
