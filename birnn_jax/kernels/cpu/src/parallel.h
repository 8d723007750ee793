// Independent tasks on XLA's thread pool.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "layer.h"
#include "xla/ffi/api/ffi.h"

namespace birnn {

// Some microseconds of looking before a thread sleeps: to wake it takes the system longer than that.
constexpr int kLooks = 2000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Runs task(0) .. task(count - 1), and returns when all are done. The caller works too, and waits
// for tasks only that another thread has begun: a pool whose threads all wait cannot lock up.
inline void run_tasks(xla::ffi::ThreadPool& pool, long count, std::function<void(long)> task) {
  struct Shared {
    std::function<void(long)> task;
    std::atomic<long> next{0}, done{0};
    std::mutex mutex;
    std::condition_variable all_done;
  };
  auto shared = std::make_shared<Shared>();
  shared->task = std::move(task);
  auto work = [shared, count] {
    for (long k; (k = shared->next.fetch_add(1)) < count;) {
      shared->task(k);
      if (shared->done.fetch_add(1) + 1 < count) continue;
      std::lock_guard<std::mutex> lock(shared->mutex);
      shared->all_done.notify_one();
    }
  };
  // With one thread the caller does all: on its own processor to wake another takes some microseconds.
  const long threads = pool.num_threads() < count ? pool.num_threads() : count;
  for (long k = 1; k < threads; k++) pool.Schedule(decltype(work)(work));
  work();
  for (int look = 0; look < kLooks; look++, pause())
    if (shared->done == count) return;
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->all_done.wait(lock, [&] { return shared->done == count; });
}

// The rows of a batch in as many tasks as there are threads.
template <class F>
void run_rows(xla::ffi::ThreadPool& pool, long rows, F function) {
  const long threads = pool.num_threads() > 1 ? pool.num_threads() : 1;
  const long chunks = rows < 1 ? 1 : rows < threads ? rows : threads;
  run_tasks(pool, chunks, [&](long task) {
    function(Rows{rows * task / chunks, rows * (task + 1) / chunks});
  });
}

}  // namespace birnn
