#include <cstring>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

static ffi::Error Add(ffi::Buffer<ffi::F32> x, ffi::ResultBuffer<ffi::F32> y) {
  for (size_t i = 0; i < x.element_count(); i++) y->typed_data()[i] = x.typed_data()[i] + 1;
  return ffi::Error::Success();
}

#define DEF(name)                                             \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, Add,                    \
                                ffi::Ffi::Bind()              \
                                    .Arg<ffi::Buffer<ffi::F32>>() \
                                    .Ret<ffi::Buffer<ffi::F32>>())
DEF(birnn_elman_forward);
DEF(birnn_elman_backward);
DEF(birnn_gru_forward);
DEF(birnn_gru_backward);
DEF(birnn_lstm_forward);
DEF(birnn_lstm_backward);

static const char* isa = "baseline";
extern "C" const char* birnn_isa() { return isa; }
extern "C" int birnn_force_isa(const char* name) {
  static const char* known[] = {"baseline", "avx2", "avx512"};
  for (const char* one : known)
    if (!std::strcmp(one, name)) return isa = one, 1;
  return 0;
}
