#include "runtime/hal/ThreadPool.h"

#include <gtest/gtest.h>

#include <signal.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

using namespace levin;
using hal::ThreadPool;

namespace {

class ThreadPoolTest : public testing::TestWithParam<unsigned> {};

TEST_P(ThreadPoolTest, EveryPointOnce) {
  auto pool = std::move(*ThreadPool::create(GetParam()));
  EXPECT_EQ(pool->threads(), GetParam());
  for (uint64_t points : {0, 1, 2, 3, 7, 64, 1000, 12345}) {
    std::vector<int> counts(points, 0); // plain: a point run twice at once is a race
    pool->forEach(points, [&](uint64_t point) { ++counts[point]; });
    for (uint64_t i = 0; i < points; ++i)
      ASSERT_EQ(counts[i], 1) << i << " of " << points;
  }
}

// Many launches of all sizes, with pauses in which the workers fall asleep.
TEST_P(ThreadPoolTest, ManyLaunches) {
  auto pool = std::move(*ThreadPool::create(GetParam()));
  std::mt19937 random(GetParam());
  std::vector<uint64_t> values(300, 0);
  uint64_t expected = 0;
  for (int launch = 0; launch < 5000; ++launch) {
    uint64_t points = random() % (launch % 10 == 0 ? 300 : 5);
    // Each launch reads what the one before wrote.
    pool->forEach(points, [&](uint64_t point) { values[point] = values[point] + point + 1; });
    expected += points * (points + 1) / 2;
    if (launch % 1000 == 999)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  uint64_t sum = 0;
  for (uint64_t value : values)
    sum += value;
  EXPECT_EQ(sum, expected);
}

TEST_P(ThreadPoolTest, UnevenPoints) {
  auto pool = std::move(*ThreadPool::create(GetParam()));
  std::atomic<int> done{0};
  for (int launch = 0; launch < 20; ++launch)
    pool->forEach(9, [&](uint64_t point) {
      if (point == 0)
        std::this_thread::sleep_for(std::chrono::microseconds(300));
      done.fetch_add(1, std::memory_order_relaxed);
    });
  EXPECT_EQ(done.load(), 180);
}

TEST_P(ThreadPoolTest, CreatedAndEndedAtOnce) {
  for (int i = 0; i < 50; ++i) {
    auto pool = std::move(*ThreadPool::create(GetParam()));
    if (i % 2)
      pool->forEach(3, [](uint64_t) {});
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 8, 17));

TEST(ThreadPool, SeveralPoolsAtOnce) {
  std::vector<std::thread> owners;
  for (int owner = 0; owner < 3; ++owner)
    owners.emplace_back([] {
      auto pool = std::move(*ThreadPool::create(2));
      std::vector<uint64_t> values(50, 0);
      for (int launch = 0; launch < 500; ++launch)
        pool->forEach(values.size(), [&](uint64_t point) { ++values[point]; });
      for (uint64_t value : values)
        EXPECT_EQ(value, 500u);
    });
  for (std::thread &owner : owners)
    owner.join();
}

TEST(ThreadPool, WorkersHaveLargeStacks) {
  auto pool = std::move(*ThreadPool::create(4));
  std::thread::id caller = std::this_thread::get_id();
  std::atomic<size_t> least{SIZE_MAX};
  for (int launch = 0; launch < 100; ++launch)
    pool->forEach(16, [&](uint64_t) {
      if (std::this_thread::get_id() == caller)
        return;
      size_t left = hal::stackLeft(), before = least.load();
      while (left < before && !least.compare_exchange_weak(before, left)) {
      }
    });
  EXPECT_GT(least.load(), hal::workerStackBytes - (size_t(1) << 20));
}

// Ctrl-C and the like reach the program's own threads only.
TEST(ThreadPool, WorkersTakeNoSignals) {
  auto pool = std::move(*ThreadPool::create(3));
  std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> open{0};
  for (int launch = 0; launch < 200; ++launch)
    pool->forEach(16, [&](uint64_t) {
      sigset_t blocked;
      pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
      if (std::this_thread::get_id() != caller && !sigismember(&blocked, SIGINT))
        ++open;
    });
  EXPECT_EQ(open.load(), 0);
  sigset_t mine;
  pthread_sigmask(SIG_SETMASK, nullptr, &mine);
  EXPECT_FALSE(sigismember(&mine, SIGINT));
}

TEST(ThreadPool, Defaults) {
  EXPECT_EQ((*ThreadPool::create())->threads(), hal::usableCores());
  EXPECT_EQ(ThreadPool::create(5000).status().number(), 2009);
}

} // namespace
