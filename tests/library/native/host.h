// As much of XLA as a handler needs to be called: buffers, attributes and a pool of threads.
#pragma once

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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
  std::vector<unsigned char> flags;  // in place of values: flags, or bytes of another dtype
  bool is_flags = false;
  XLA_FFI_DataType dtype = XLA_FFI_DataType_F32;  // what the bits of values stand for

  explicit Array(std::vector<std::int64_t> dims) : shape(std::move(dims)), values(size()) {}

  static Array random_flags(bool are_there, std::vector<std::int64_t> shape, std::mt19937& rng) {
    Array array = if_there(are_there, std::move(shape));
    array.is_flags = true;
    for (std::size_t k = 0; k < array.size(); k++) array.flags.push_back(rng() % 2);
    return array;
  }

  std::size_t size() const {
    std::size_t product = 1;
    for (auto dim : shape) product *= dim;
    return product;
  }

  static Array random_bytes(std::vector<std::int64_t> shape, std::mt19937& rng) {
    Array array = bytes(std::move(shape));
    for (unsigned char& byte : array.flags) byte = static_cast<signed char>(rng() % 255 - 127);
    return array;
  }

  static Array bytes(std::vector<std::int64_t> shape) {
    Array array(std::move(shape));
    array.is_flags = true, array.dtype = XLA_FFI_DataType_S8;
    array.flags.resize(array.size());
    return array;
  }

  // Of that rank without elements, if the buffer is not there.
  static Array if_there(bool is_there, std::vector<std::int64_t> shape) {
    if (!is_there) shape.assign(shape.size(), 0);
    return Array(std::move(shape));
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
    buffer.dtype = is_flags && dtype == XLA_FFI_DataType_F32 ? XLA_FFI_DataType_PRED : dtype;
    buffer.data = is_flags ? flags.data() : static_cast<void*>(values.data());
    buffer.rank = shape.size();
    buffer.dims = shape.data();
    return buffer;
  }
};

// Attributes by their names, in the order of the alphabet.
struct Attributes {
  std::vector<const char*> names;
  std::vector<XLA_FFI_AttrType> types;
  std::vector<void*> values;

  void add(const char* name, XLA_FFI_AttrType type, void* value) {
    names.push_back(name), types.push_back(type), values.push_back(value);
  }
};

inline void call(XLA_FFI_Handler* handler, std::vector<Array>& args, std::vector<Array>& rets,
                 Attributes& attributes) {
  std::vector<XLA_FFI_Buffer> buffers;
  for (Array& arg : args) buffers.push_back(arg.view());
  for (Array& ret : rets) buffers.push_back(ret.view());
  std::vector<void*> pointers;
  for (XLA_FFI_Buffer& buffer : buffers) pointers.push_back(&buffer);
  std::vector<XLA_FFI_ArgType> arg_types(args.size(), XLA_FFI_ArgType_BUFFER);
  std::vector<XLA_FFI_RetType> ret_types(rets.size(), XLA_FFI_RetType_BUFFER);

  std::vector<XLA_FFI_ByteSpan> spans;
  for (const char* name : attributes.names) spans.push_back({name, std::strlen(name)});
  std::vector<XLA_FFI_ByteSpan*> names;
  for (XLA_FFI_ByteSpan& span : spans) names.push_back(&span);

  XLA_FFI_CallFrame frame{};
  frame.struct_size = XLA_FFI_CallFrame_STRUCT_SIZE;
  frame.api = get_api();
  frame.stage = XLA_FFI_ExecutionStage_EXECUTE;
  frame.args = {XLA_FFI_Args_STRUCT_SIZE, nullptr, static_cast<std::int64_t>(args.size()),
                arg_types.data(), pointers.data()};
  frame.rets = {XLA_FFI_Rets_STRUCT_SIZE, nullptr, static_cast<std::int64_t>(rets.size()),
                ret_types.data(), pointers.data() + args.size()};
  frame.attrs = {XLA_FFI_Attrs_STRUCT_SIZE,         nullptr,
                 static_cast<std::int64_t>(names.size()), attributes.types.data(),
                 names.data(),                      attributes.values.data()};
  handler(&frame);
}
