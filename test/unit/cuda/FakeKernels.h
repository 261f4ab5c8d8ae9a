// The kernels of the toy model (test/unit/session/toy_kernels.c) as the fake driver runs them.
#ifndef LEVIN_TEST_UNIT_CUDA_FAKEKERNELS_H
#define LEVIN_TEST_UNIT_CUDA_FAKEKERNELS_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace levin::fake {

constexpr int width = 4, vocabulary = 11, panel = 4, pageTokens = 8, blocksOfContext = 250;

/// The arguments of a launch, by value.
struct Arguments {
  std::vector<uint64_t> words;
  template <typename T> T *pointer(size_t i) const { return reinterpret_cast<T *>(words[i]); }
  int64_t scalar(size_t i) const { return static_cast<int64_t>(words[i]); }
};

inline void recur(const Arguments &a, unsigned x) {
  auto *ids = a.pointer<int32_t>(0), *starts = a.pointer<int32_t>(1),
       *slots = a.pointer<int32_t>(2), *past = a.pointer<int32_t>(3);
  auto *embedding = a.pointer<float>(4), *hidden = a.pointer<float>(6);
  if (starts[x] == starts[x + 1])
    return;
  float *state = a.pointer<float>(5) + slots[x] * width;
  for (int t = starts[x]; t < starts[x + 1]; ++t) {
    int position = past[x] + t - starts[x];
    for (int d = 0; d < width; ++d) {
      float before = position == 0 ? 0 : state[d];
      state[d] = 0.5f * before + embedding[ids[t] * width + d];
      hidden[t * width + d] = state[d] + 0.001f * static_cast<float>(position);
    }
  }
}

inline void paged(const Arguments &a, unsigned x) {
  auto *ids = a.pointer<int32_t>(0), *starts = a.pointer<int32_t>(1),
       *table = a.pointer<int32_t>(2), *past = a.pointer<int32_t>(3);
  auto *embedding = a.pointer<float>(4), *cache = a.pointer<float>(5),
       *hidden = a.pointer<float>(6);
  table += x * blocksOfContext;
  auto place = [&](int t) { return cache + table[t / pageTokens] * pageTokens + t % pageTokens; };
  for (int t = starts[x]; t < starts[x + 1]; ++t) {
    int position = past[x] + t - starts[x];
    *place(position) = static_cast<float>(ids[t]);
    for (int d = 0; d < width; ++d) {
      float state = 0;
      for (int p = 0; p <= position; ++p)
        state = 0.5f * state + embedding[static_cast<int>(*place(p)) * width + d];
      hidden[t * width + d] = state + 0.001f * static_cast<float>(position);
    }
  }
}

inline void project(const Arguments &a, unsigned x, unsigned y) {
  const float *hidden = a.pointer<float>(1) + a.pointer<int32_t>(0)[x] * width;
  const float *head = a.pointer<float>(2) + y * width * panel;
  float *logits = a.pointer<float>(3) + x * vocabulary;
  for (unsigned v = y * panel; v < vocabulary && v < (y + 1) * panel; ++v) {
    float sum = 0;
    for (int d = 0; d < width; ++d)
      sum += hidden[d] * head[d * panel + static_cast<int>(v % panel)];
    logits[v] = sum;
  }
}

/// x, scale -> middle, through the scratch memory; elements [begin, end).
inline void scale(const Arguments &a) {
  for (int64_t i = a.scalar(4); i < a.scalar(5); ++i) {
    a.pointer<float>(3)[i] = a.pointer<float>(1)[0] * a.pointer<float>(0)[i];
    a.pointer<float>(2)[i] = a.pointer<float>(3)[i];
  }
}

inline void place(const Arguments &a) {
  for (int64_t i = 0; i < 24; ++i)
    a.pointer<float>(1)[i] = a.pointer<float>(0)[i] + static_cast<float>(i);
}

/// Values that tell seed, element, kind and scale apart.
inline void fillRandom(const Arguments &a) {
  float size;
  auto bits = static_cast<uint32_t>(a.words[3]);
  std::memcpy(&size, &bits, sizeof(size));
  for (int64_t i = 0; i < a.scalar(1); ++i) {
    uint64_t hash = (a.words[4] + static_cast<uint64_t>(i)) * 0x9e3779b97f4a7c15u >> 40;
    float value = a.scalar(2) >= 4 ? size : size * (static_cast<float>(hash) / (1 << 23) - 1);
    a.pointer<float>(0)[i] = value;
  }
}

/// logits, out, rows, vocabulary: as row_summary.
inline void summary(const Arguments &a, unsigned x) {
  constexpr size_t most = 64;
  const float *logits = a.pointer<float>(0) + x * a.scalar(3);
  float *out = a.pointer<float>(1) + x * (2 + 2 * most);
  std::vector<std::pair<float, int32_t>> order;
  double sum = 0;
  for (int32_t v = 0; v < a.scalar(3); ++v) {
    order.emplace_back(-logits[v], v);
    sum += std::exp(static_cast<double>(logits[v]));
  }
  std::sort(order.begin(), order.end());
  order.resize(most, {std::numeric_limits<float>::infinity(), -1});
  out[0] = static_cast<float>(std::log(sum));
  out[1] = -order[0].first;
  for (size_t i = 0; i < most; ++i) {
    out[2 + 2 * i] = -order[i].first;
    std::memcpy(&out[3 + 2 * i], &order[i].second, sizeof(float));
  }
}

} // namespace levin::fake

#endif // LEVIN_TEST_UNIT_CUDA_FAKEKERNELS_H
