// Shows the scan of linear cells to XLA.
#include "buffers.h"
#include "kernels.h"
#include "parallel.h"

namespace birnn {
namespace {

template <class Scalar>
Linear<Scalar> read_scan(bool reverse, const View& a, const View& valid, const View& starts) {
  Linear<Scalar> scan{};
  scan.reverse = reverse;
  scan.steps = a.shape[1], scan.units = a.shape[2];
  scan.a = get<Scalar>(a), scan.valid = get<bool>(valid), scan.starts = get<bool>(starts);
  return scan;
}

template <class Scalar>
ffi::Error scan_linear(ffi::ThreadPool pool, bool reverse, Numbers<Scalar, 3> a, Flags<2> valid,
                       Flags<2> starts, Numbers<Scalar, 3> b, Numbers<Scalar, 2> h, Numbers<Scalar, 2> start_h,
                       ffi::Result<Numbers<Scalar, 3>> ys, ffi::Result<Numbers<Scalar, 2>> last,
                       ffi::Result<Numbers<Scalar, 3>> befores) {
  Linear<Scalar> scan = read_scan<Scalar>(reverse, view(a), view(valid), view(starts));
  scan.b = get<Scalar>(view(b)), scan.h = get<Scalar>(view(h));
  scan.start_h = get<Scalar>(view(start_h));
  scan.ys = get<Scalar>(view(ys)), scan.last = get<Scalar>(view(last));
  scan.befores = get<Scalar>(view(befores));
  run_rows(pool, h.dimensions()[0], [&](Rows rows) { get_kernels<Scalar>().scan_linear(scan, rows); });
  return ffi::Error::Success();
}

template <class Scalar>
ffi::Error scan_linear_back(ffi::ThreadPool pool, bool reverse, Numbers<Scalar, 3> a, Flags<2> valid,
                            Flags<2> starts, Numbers<Scalar, 3> d_ys, Numbers<Scalar, 2> d_last,
                            ffi::Result<Numbers<Scalar, 3>> d_b, ffi::Result<Numbers<Scalar, 2>> d_h,
                            ffi::Result<Numbers<Scalar, 2>> d_start) {
  LinearBack<Scalar> back{};
  back.scan = read_scan<Scalar>(reverse, view(a), view(valid), view(starts));
  back.d_ys = get<Scalar>(view(d_ys)), back.d_last = get<Scalar>(view(d_last));
  back.d_b = get<Scalar>(view(d_b)), back.d_h = get<Scalar>(view(d_h));
  back.d_start = get<Scalar>(view(d_start));
  run_rows(pool, d_last.dimensions()[0],
           [&](Rows rows) { get_kernels<Scalar>().scan_linear_back(back, rows); });
  return ffi::Error::Success();
}

auto bind_rows() {
  return ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Attr<bool>("reverse");
}

template <class Scalar>
auto bind_scan() {
  return bind_rows()
      .template Arg<Numbers<Scalar, 3>>()
      .template Arg<Flags<2>>()
      .template Arg<Flags<2>>()
      .template Arg<Numbers<Scalar, 3>>()
      .template Arg<Numbers<Scalar, 2>>()
      .template Arg<Numbers<Scalar, 2>>()
      .template Ret<Numbers<Scalar, 3>>()
      .template Ret<Numbers<Scalar, 2>>()
      .template Ret<Numbers<Scalar, 3>>();
}

template <class Scalar>
auto bind_scan_back() {
  return bind_rows()
      .template Arg<Numbers<Scalar, 3>>()
      .template Arg<Flags<2>>()
      .template Arg<Flags<2>>()
      .template Arg<Numbers<Scalar, 3>>()
      .template Arg<Numbers<Scalar, 2>>()
      .template Ret<Numbers<Scalar, 3>>()
      .template Ret<Numbers<Scalar, 2>>()
      .template Ret<Numbers<Scalar, 2>>();
}

}  // namespace
}  // namespace birnn

#define BIRNN_LINEAR_HANDLERS(Scalar, suffix)                                               \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_linear_forward##suffix, birnn::scan_linear<Scalar>,       \
                                birnn::bind_scan<Scalar>());                                    \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_linear_backward##suffix, birnn::scan_linear_back<Scalar>, \
                                birnn::bind_scan_back<Scalar>())

BIRNN_LINEAR_HANDLERS(float, );
BIRNN_LINEAR_HANDLERS(double, _f64);
