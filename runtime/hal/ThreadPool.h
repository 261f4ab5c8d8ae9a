// Threads that share the points of a grid.
//
// A launch of a kernel takes microseconds, and a token hundreds of launches, so the pool is built
// for latency: workers look for work for a while before they sleep, the calling thread works too,
// and a launch is over when its points are done, whether or not every worker woke up.
#ifndef LEVIN_RUNTIME_HAL_THREADPOOL_H
#define LEVIN_RUNTIME_HAL_THREADPOOL_H

#include "runtime/base/Status.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace levin::hal {

/// Stack of every worker, in bytes.
inline constexpr size_t workerStackBytes = size_t(16) << 20;

/// The number of cores that this process may use, at least 1.
unsigned usableCores();

/// Bytes of stack that are left to the calling thread.
size_t stackLeft();

class ThreadPool {
public:
  /// A pool of `threads` threads, the caller of run() included; 0 means usableCores().
  /// Failure: LV4001 if a thread cannot be started.
  static Result<std::unique_ptr<ThreadPool>> create(unsigned threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  unsigned threads() const { return workerCount + 1; }

  /// Calls `body(context, i)` once for each i < points, in any order and at the same time; returns
  /// when all have returned, and what they wrote is then visible.  One thread at a time may be in
  /// run(), and a body must not call it.  `points` < 2^40.
  using Body = void (*)(void *context, uint64_t point);
  void run(uint64_t points, Body body, void *context);

  /// run() of a callable.
  template <typename F> void forEach(uint64_t points, F &&callable) {
    run(
        points, [](void *context, uint64_t point) { (*static_cast<F *>(context))(point); },
        const_cast<void *>(static_cast<const void *>(&callable)));
  }

private:
  struct Worker;
  ThreadPool() = default;
  Status start(unsigned count);
  static void *workerMain(void *pool);
  void workerLoop();
  bool takePoints();
  void sleepUntilWork();
  void waitUntilDone(uint64_t points);

  // The launch.  `ticket` holds its number (24 bits) and the points that nobody has taken yet
  // (40 bits).  The other fields change only while no points are left, so whoever takes points by
  // an exchange of `ticket` has read the fields of the same launch.
  alignas(64) std::atomic<uint64_t> ticket{0};
  std::atomic<Body> body{nullptr};
  std::atomic<void *> context{nullptr};
  std::atomic<uint64_t> total{0};

  alignas(64) std::atomic<uint64_t> done{0}; // points that have returned
  std::atomic<uint32_t> completions{0};      // counts launches that became complete
  std::atomic<bool> callerSleeps{false};

  alignas(64) std::atomic<uint32_t> sleepers{0};
  std::atomic<uint32_t> wakeups{0};
  std::atomic<bool> stopping{false};

  unsigned workerCount = 0;
  unsigned spins = 0; // looks for work before sleeping
  std::unique_ptr<Worker[]> workers;
};

} // namespace levin::hal

#endif // LEVIN_RUNTIME_HAL_THREADPOOL_H
