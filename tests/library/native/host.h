// As much of XLA as a handler needs to be called: buffers, attributes and a pool of threads.
#pragma once

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "xla/ffi/api/c_api.h"

// Runs tasks until the process ends.
class Pool {
 public:
  explicit Pool(int size) {
    for (int k = 0; k < size; k++) std::thread([this] { work(); }).detach();
  }

  void schedule(XLA_FFI_Task* task, void* data) {
    std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back({task, data});
    some_.notify_one();
  }

 private:
  struct Item {
    XLA_FFI_Task* task;
    void* data;
  };

  void work() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      some_.wait(lock, [this] { return !tasks_.empty(); });
      const Item item = tasks_.front();
      tasks_.pop_front();
      lock.unlock();
      item.task(item.data);
    }
  }

  std::mutex mutex_;
  std::condition_variable some_;
  std::deque<Item> tasks_;
};

constexpr int kThreads = 6;

inline const XLA_FFI_Api* get_api() {
  static Pool& pool = *new Pool(kThreads);
  static const XLA_FFI_Api api = [] {
    XLA_FFI_Api api{};
    api.struct_size = XLA_FFI_Api_STRUCT_SIZE;
    api.XLA_FFI_Error_Create = [](XLA_FFI_Error_Create_Args* args) -> XLA_FFI_Error* {
      std::fprintf(stderr, "%s\n", args->message);
      std::abort();
    };
    api.XLA_FFI_ThreadPool_Schedule = [](XLA_FFI_ThreadPool_Schedule_Args* args) {
      pool.schedule(args->task, args->data);
      return static_cast<XLA_FFI_Error*>(nullptr);
    };
    api.XLA_FFI_ThreadPool_NumThreads = [](XLA_FFI_ThreadPool_NumThreads_Args* args) {
      *args->num_threads = kThreads;
      return static_cast<XLA_FFI_Error*>(nullptr);
    };
    return api;
  }();
  return &api;
}

// A buffer of its exact size, so that the sanitiser sees the first element behind it.
struct Array {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  std::vector<unsigned char> flags;  // in place of values

  explicit Array(std::vector<std::int64_t> dims) : shape(std::move(dims)), values(size()) {}

  std::size_t size() const {
    std::size_t product = 1;
    for (auto dim : shape) product *= dim;
    return product;
  }

  static Array random(std::vector<std::int64_t> shape, std::mt19937& rng) {
    Array array(std::move(shape));
    std::normal_distribution<float> normal(0, 0.5);
    for (float& value : array.values) value = normal(rng);
    return array;
  }

  XLA_FFI_Buffer view() {
    XLA_FFI_Buffer buffer{};
    buffer.struct_size = XLA_FFI_Buffer_STRUCT_SIZE;
    buffer.dtype = flags.empty() ? XLA_FFI_DataType_F32 : XLA_FFI_DataType_PRED;
    buffer.data = flags.empty() ? static_cast<void*>(values.data()) : flags.data();
    buffer.rank = shape.size();
    buffer.dims = shape.data();
    return buffer;
  }
};

// Attributes are integers, but for the first; their names are sorted.
inline void call(XLA_FFI_Handler* handler, std::vector<Array>& args, std::vector<Array>& rets,
                 std::vector<const char*> names, std::vector<std::vector<std::int64_t>> values) {
  std::vector<XLA_FFI_Buffer> buffers;
  for (Array& arg : args) buffers.push_back(arg.view());
  for (Array& ret : rets) buffers.push_back(ret.view());
  std::vector<void*> pointers;
  for (XLA_FFI_Buffer& buffer : buffers) pointers.push_back(&buffer);
  std::vector<XLA_FFI_ArgType> arg_types(args.size(), XLA_FFI_ArgType_BUFFER);
  std::vector<XLA_FFI_RetType> ret_types(rets.size(), XLA_FFI_RetType_BUFFER);

  const std::size_t count = names.size();
  std::vector<XLA_FFI_ByteSpan> spans(count);
  std::vector<XLA_FFI_Scalar> scalars(count);
  std::vector<XLA_FFI_Array> arrays(count);
  std::vector<XLA_FFI_AttrType> attr_types(count);
  std::vector<XLA_FFI_ByteSpan*> attr_names(count);
  std::vector<void*> attrs(count);
  for (std::size_t k = 0; k < count; k++) {
    const bool is_array = std::string_view(names[k]) == "reverse";
    spans[k] = {names[k], std::string_view(names[k]).size()};
    scalars[k] = {XLA_FFI_DataType_S64, values[k].data()};
    arrays[k] = {XLA_FFI_DataType_S64, values[k].size(), values[k].data()};
    attr_names[k] = &spans[k];
    attr_types[k] = is_array ? XLA_FFI_AttrType_ARRAY : XLA_FFI_AttrType_SCALAR;
    attrs[k] = is_array ? static_cast<void*>(&arrays[k]) : &scalars[k];
  }

  XLA_FFI_CallFrame frame{};
  frame.struct_size = XLA_FFI_CallFrame_STRUCT_SIZE;
  frame.api = get_api();
  frame.stage = XLA_FFI_ExecutionStage_EXECUTE;
  frame.args = {XLA_FFI_Args_STRUCT_SIZE, nullptr, static_cast<std::int64_t>(args.size()),
                arg_types.data(), pointers.data()};
  frame.rets = {XLA_FFI_Rets_STRUCT_SIZE, nullptr, static_cast<std::int64_t>(rets.size()),
                ret_types.data(), pointers.data() + args.size()};
  frame.attrs = {XLA_FFI_Attrs_STRUCT_SIZE, nullptr, static_cast<std::int64_t>(count),
                 attr_types.data(), attr_names.data(), attrs.data()};
  handler(&frame);
}
