#include "runtime/hal/ThreadPool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace levin::hal {

// A pause takes some 40 ns to 140 ns, depending on the core: about 50 to 150 us in all.
static constexpr unsigned spinsBeforeSleep = 1200;
static constexpr unsigned pointBits = 40;
static constexpr uint64_t pointMask = (uint64_t(1) << pointBits) - 1;

static void pauseThread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

unsigned usableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0)
    return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

size_t stackLeft() {
  // Asked once: pthread_getattr_np reads /proc for the main thread.
  thread_local uintptr_t lowest = [] {
    pthread_attr_t attributes;
    void *base = nullptr;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
      return uintptr_t(0);
    pthread_attr_getstack(&attributes, &base, &size);
    pthread_attr_destroy(&attributes);
    return reinterpret_cast<uintptr_t>(base);
  }();
  uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  return here > lowest ? here - lowest : 0;
}

struct ThreadPool::Worker {
  pthread_t thread;
};

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(unsigned threads) {
  constexpr unsigned most = 1024;
  unsigned cores = usableCores();
  if (threads == 0)
    threads = std::min(cores, most);
  if (threads > most)
    return makeError(ErrorCode::Argument, "{} threads are asked for", threads)
        .note("need", fmt::format("at most {}; this process may use {} cores", most, cores));
  std::unique_ptr<ThreadPool> pool(new ThreadPool);
  // With more threads than cores, a thread that looks for work takes the core of one that has some.
  pool->spins = threads <= cores ? spinsBeforeSleep : 1;
  LEVIN_RETURN_IF_ERROR(pool->start(threads - 1));
  return pool;
}

Status ThreadPool::start(unsigned count) {
  workers = std::make_unique<Worker[]>(count);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, workerStackBytes);
  // Signals from outside, such as that of Ctrl-C, are for the threads of the program.
  sigset_t outside, before;
  sigfillset(&outside);
  for (int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP})
    sigdelset(&outside, own);
  pthread_sigmask(SIG_SETMASK, &outside, &before);
  int error = 0;
  while (workerCount < count && error == 0) {
    error = pthread_create(&workers[workerCount].thread, &attributes, workerMain, this);
    workerCount += error == 0;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0)
    return {};
  return makeError(ErrorCode::OutOfMemory, "cannot start thread {} of {}: {}", workerCount + 2,
                   count + 1, std::generic_category().message(error))
      .note("fix", "ask for fewer threads, or raise the limit on processes (ulimit -u)");
}

ThreadPool::~ThreadPool() {
  stopping.store(true);
  wakeups.fetch_add(1);
  wakeups.notify_all();
  for (unsigned i = 0; i < workerCount; ++i)
    pthread_join(workers[i].thread, nullptr);
}

void *ThreadPool::workerMain(void *pool) {
  static_cast<ThreadPool *>(pool)->workerLoop();
  return nullptr;
}

void ThreadPool::workerLoop() {
  unsigned idle = 0;
  while (!stopping.load(std::memory_order_relaxed)) {
    if (takePoints()) {
      idle = 0;
    } else if (++idle < spins) {
      pauseThread();
    } else {
      sleepUntilWork();
      idle = 0;
    }
  }
}

/// Takes points of the current launch until none is left; false if there were none.
bool ThreadPool::takePoints() {
  uint64_t seen = ticket.load(std::memory_order_acquire);
  bool any = false;
  while (uint64_t left = seen & pointMask) {
    Body function = body.load(std::memory_order_relaxed);
    void *argument = context.load(std::memory_order_relaxed);
    uint64_t points = total.load(std::memory_order_relaxed);
    // Large pieces at first, single points in the end.
    uint64_t piece = std::max<uint64_t>(1, left / (8 * threads()));
    if (!ticket.compare_exchange_weak(seen, seen - piece, std::memory_order_acq_rel,
                                      std::memory_order_acquire))
      continue;
    any = true;
    uint64_t first = points - left;
    for (uint64_t point = first; point < first + piece; ++point)
      function(argument, point);
    if (done.fetch_add(piece, std::memory_order_acq_rel) + piece == points) {
      completions.fetch_add(1);
      if (callerSleeps.load())
        completions.notify_one();
    }
    seen = ticket.load(std::memory_order_acquire);
  }
  return any;
}

void ThreadPool::sleepUntilWork() {
  uint32_t seen = wakeups.load();
  sleepers.fetch_add(1);
  // The caller publishes work and then looks for sleepers; this is the other order.
  if ((ticket.load() & pointMask) == 0 && !stopping.load())
    wakeups.wait(seen);
  sleepers.fetch_sub(1);
}

void ThreadPool::run(uint64_t points, Body function, void *argument) {
  if (workerCount == 0 || points <= 1) {
    for (uint64_t point = 0; point < points; ++point)
      function(argument, point);
    return;
  }
  uint64_t number = ((ticket.load(std::memory_order_relaxed) >> pointBits) + 1) & 0xffffff;
  body.store(function, std::memory_order_relaxed);
  context.store(argument, std::memory_order_relaxed);
  total.store(points, std::memory_order_relaxed);
  done.store(0, std::memory_order_relaxed);
  ticket.store((number << pointBits) | points);
  if (sleepers.load() != 0) {
    wakeups.fetch_add(1);
    wakeups.notify_all();
  }
  takePoints();
  waitUntilDone(points);
}

/// Waits for points that other threads have taken.
void ThreadPool::waitUntilDone(uint64_t points) {
  for (unsigned i = 0; i < spins; ++i) {
    if (done.load(std::memory_order_acquire) == points)
      return;
    pauseThread();
  }
  callerSleeps.store(true);
  while (true) {
    uint32_t seen = completions.load();
    if (done.load(std::memory_order_acquire) == points)
      break;
    completions.wait(seen);
  }
  callerSleeps.store(false);
}

} // namespace levin::hal
