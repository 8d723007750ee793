// Chooses the kernels that the processor can run, and shows XLA those that are of no cell.
#include <algorithm>
#include <cstring>
#include <vector>

#include "buffers.h"
#include "kernels.h"
#include "parallel.h"

namespace birnn {

namespace baseline {
extern const Kernels<float> kernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels<float> kernels;
}
namespace avx512 {
extern const Kernels<float> kernels;
}
namespace avx2_f64 {
extern const Kernels<double> kernels;
}
#else
namespace baseline_f64 {
extern const Kernels<double> kernels;
}
#endif

namespace {

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

// Those for float that run here, the best first.
std::vector<const Kernels<float>*> find_kernels() {
  std::vector<const Kernels<float>*> found;
#if defined(__x86_64__)
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_avx2() && has_avx512) found.push_back(&avx512::kernels);
  if (has_avx2()) found.push_back(&avx2::kernels);
#endif
  found.push_back(&baseline::kernels);
  return found;
}

std::atomic<const Kernels<float>*>& chosen() {
  static std::atomic<const Kernels<float>*> kernels{find_kernels().front()};
  return kernels;
}

}  // namespace

template <>
const Kernels<float>& get_kernels<float>() {
  return *chosen().load();
}

// One instruction set is enough for double, with half of the elements in a vector.
template <>
const Kernels<double>& get_kernels<double>() {
#if defined(__x86_64__)
  return avx2_f64::kernels;
#else
  return baseline_f64::kernels;
#endif
}

namespace {

template <class Scalar>
ffi::Error draw(ffi::ThreadPool pool, std::int64_t site, std::int64_t threshold, bool reverse,
                ffi::Buffer<ffi::U32, 2> keys, ffi::Buffer<ffi::S32, 1> visited, Flags<2> valid,
                Flags<2> starts, ffi::Result<Flags<3>> flags) {
  const auto shape = flags->dimensions();
  Draw draw{};
  draw.keys = keys.typed_data(), draw.visited = visited.typed_data();
  draw.valid = get<bool>(view(valid)), draw.starts = get<bool>(view(starts));
  draw.reverse = reverse, draw.steps = shape[1], draw.size = shape[2];
  draw.site = site, draw.threshold = threshold, draw.out = flags->typed_data();
  run_rows(pool, shape[0], [&](Rows rows) { get_kernels<Scalar>().draw(draw, rows); });
  return ffi::Error::Success();
}

auto bind_draw() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Attr<std::int64_t>("site")
      .Attr<std::int64_t>("threshold")
      .Attr<bool>("reverse")
      .Arg<ffi::Buffer<ffi::U32, 2>>()
      .Arg<ffi::Buffer<ffi::S32, 1>>()
      .Arg<Flags<2>>()
      .Arg<Flags<2>>()
      .Ret<Flags<3>>();
}

ffi::Error fold_in(ffi::Buffer<ffi::U32, 2> keys, ffi::Buffer<ffi::U32, 1> numbers,
                   ffi::Result<ffi::Buffer<ffi::U32, 2>> folded) {
  const FoldIn fold{keys.typed_data(), numbers.typed_data(), folded->typed_data()};
  get_kernels<float>().fold_in(fold, {0, keys.dimensions()[0]});
  return ffi::Error::Success();
}

auto bind_fold_in() {
  return ffi::Ffi::Bind()
      .Arg<ffi::Buffer<ffi::U32, 2>>()
      .Arg<ffi::Buffer<ffi::U32, 1>>()
      .Ret<ffi::Buffer<ffi::U32, 2>>();
}

}  // namespace
}  // namespace birnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_draw, birnn::draw<float>, birnn::bind_draw());
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_draw_f64, birnn::draw<double>, birnn::bind_draw());
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_fold_in, birnn::fold_in, birnn::bind_fold_in());

// By way of ctypes.
extern "C" {

const char* birnn_isa() { return birnn::get_kernels<float>().isa; }

// 1 if this processor has the instructions and they were taken, otherwise 0.
int birnn_force_isa(const char* isa) {
  for (const birnn::Kernels<float>* one : birnn::find_kernels()) {
    if (std::strcmp(one->isa, isa) != 0) continue;
    birnn::chosen() = one;
    return 1;
  }
  return 0;
}

void birnn_tanh(const float* in, float* out, long size) {
  birnn::get_kernels<float>().tanh(in, out, size);
}

// 1 if the kernels for double run on this processor.
int birnn_has_f64() {
#if defined(__x86_64__)
  return birnn::has_avx2();
#else
  return 1;
#endif
}

void birnn_sigmoid(const float* in, float* out, long size) {
  birnn::get_kernels<float>().sigmoid(in, out, size);
}

void birnn_tanh_f64(const double* in, double* out, long size) {
  birnn::get_kernels<double>().tanh(in, out, size);
}

void birnn_sigmoid_f64(const double* in, double* out, long size) {
  birnn::get_kernels<double>().sigmoid(in, out, size);
}
}
