// Working memory of one call.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace birnn::BIRNN_ISA {

template <class T>
class Array {
 public:
  // Aligned by hand: what the system aligns leaves pieces behind, which cost it a tenth of a call with few rows.
  explicit Array(long size) : memory_(std::malloc(size * sizeof(T) + 2 * kLine)) {
    if (memory_ == nullptr) std::abort();  // XLA's own buffers are taken to be there, too
    const auto at = reinterpret_cast<std::uintptr_t>(memory_);
    data_ = reinterpret_cast<T*>((at + kLine - 1) / kLine * kLine);
  }
  ~Array() { std::free(memory_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  operator T*() const { return data_; }

 private:
  static constexpr std::uintptr_t kLine = 64;

  void* memory_;
  T* data_;
};

}  // namespace birnn::BIRNN_ISA
