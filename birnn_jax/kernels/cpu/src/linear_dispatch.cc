// Shows the scan of linear cells to XLA.
#include "buffers.h"
#include "kernels.h"
#include "parallel.h"

namespace birnn {
namespace {

Linear read_scan(bool reverse, const View& a, const View& valid, const View& starts) {
  Linear scan{};
  scan.reverse = reverse;
  scan.steps = a.shape[1], scan.units = a.shape[2];
  scan.a = get<float>(a), scan.valid = get<bool>(valid), scan.starts = get<bool>(starts);
  return scan;
}

ffi::Error scan_linear(ffi::ThreadPool pool, bool reverse, Floats<3> a, Flags<2> valid,
                       Flags<2> starts, Floats<3> b, Floats<2> h, Floats<2> start_h,
                       ffi::Result<Floats<3>> ys, ffi::Result<Floats<2>> last,
                       ffi::Result<Floats<3>> befores) {
  Linear scan = read_scan(reverse, view(a), view(valid), view(starts));
  scan.b = get<float>(view(b)), scan.h = get<float>(view(h));
  scan.start_h = get<float>(view(start_h));
  scan.ys = get<float>(view(ys)), scan.last = get<float>(view(last));
  scan.befores = get<float>(view(befores));
  run_rows(pool, h.dimensions()[0], [&](Rows rows) { get_kernels().scan_linear(scan, rows); });
  return ffi::Error::Success();
}

ffi::Error scan_linear_back(ffi::ThreadPool pool, bool reverse, Floats<3> a, Flags<2> valid,
                            Flags<2> starts, Floats<3> d_ys, Floats<2> d_last,
                            ffi::Result<Floats<3>> d_b, ffi::Result<Floats<2>> d_h,
                            ffi::Result<Floats<2>> d_start) {
  LinearBack back{};
  back.scan = read_scan(reverse, view(a), view(valid), view(starts));
  back.d_ys = get<float>(view(d_ys)), back.d_last = get<float>(view(d_last));
  back.d_b = get<float>(view(d_b)), back.d_h = get<float>(view(d_h));
  back.d_start = get<float>(view(d_start));
  run_rows(pool, d_last.dimensions()[0],
           [&](Rows rows) { get_kernels().scan_linear_back(back, rows); });
  return ffi::Error::Success();
}

struct ScanTypes {
  using Args = List<Floats<3>, Flags<2>, Flags<2>, Floats<3>, Floats<2>, Floats<2>>;
  using Rets = List<Floats<3>, Floats<2>, Floats<3>>;
};

struct ScanBackTypes {
  using Args = List<Floats<3>, Flags<2>, Flags<2>, Floats<3>, Floats<2>>;
  using Rets = List<Floats<3>, Floats<2>, Floats<2>>;
};

template <class Types>
auto bind() {
  return add_buffers<Types>(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Attr<bool>("reverse"));
}

}  // namespace
}  // namespace birnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_linear_forward, birnn::scan_linear,
                              birnn::bind<birnn::ScanTypes>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_linear_backward, birnn::scan_linear_back,
                              birnn::bind<birnn::ScanBackTypes>());
