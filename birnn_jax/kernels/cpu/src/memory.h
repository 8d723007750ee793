// Working memory of one call.
#pragma once

#include <cstdlib>
#include <cstring>

namespace birnn::BIRNN_ISA {

template <class T>
class Array {
 public:
  explicit Array(long size) {
    const std::size_t bytes = (size * sizeof(T) + 127) / 64 * 64;
    data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
    if (data_ == nullptr) std::abort();  // XLA's own buffers are taken to be there, too
  }
  ~Array() { std::free(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  operator T*() const { return data_; }

 private:
  T* data_;
};

}  // namespace birnn::BIRNN_ISA
