// The buffers of a call, in the order in which the Python side flattens them.
#pragma once

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "xla/ffi/api/ffi.h"

namespace birnn {

namespace ffi = xla::ffi;

class Arguments {
 public:
  explicit Arguments(ffi::RemainingArgs buffers) : buffers_(buffers) {}

  template <class T = float>
  const T* next(ffi::Span<const std::int64_t>* shape = nullptr) {
    auto buffer = buffers_.get<ffi::AnyBuffer>(used_++);
    if (!buffer.has_value()) return nullptr;
    if (shape) *shape = buffer->dimensions();
    return static_cast<const T*>(buffer->untyped_data());
  }

 private:
  ffi::RemainingArgs buffers_;
  std::size_t used_ = 0;
};

// XLA takes the memory of large arrays from the system anew for every execution. Huge pages, where
// the system grants them on request, save most of the page faults, a third of a training step.
inline void advise(void* data, std::size_t size) {
#if defined(__linux__)
  constexpr std::uintptr_t kPage = 4096, kLarge = 1 << 22;
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const auto end = (reinterpret_cast<std::uintptr_t>(data) + size) / kPage * kPage;
  if (end >= begin + kLarge) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  static_cast<void>(data), static_cast<void>(size);
#endif
}

class Results {
 public:
  explicit Results(ffi::RemainingRets buffers) : buffers_(buffers) {}

  float* next(ffi::Span<const std::int64_t>* shape = nullptr) {
    auto buffer = buffers_.get<ffi::AnyBuffer>(used_++);
    if (!buffer.has_value()) return nullptr;
    if (shape) *shape = (*buffer)->dimensions();
    advise((*buffer)->untyped_data(), (*buffer)->size_bytes());
    return static_cast<float*>((*buffer)->untyped_data());
  }

 private:
  ffi::RemainingRets buffers_;
  std::size_t used_ = 0;
};

}  // namespace birnn
