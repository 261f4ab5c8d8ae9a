/* The kernels of the toy model (ToyModel.h), compiled as code generation links its own: a shared
 * object without libraries. */
#include <stdint.h>

enum { width = 4, vocabulary = 11, panel = 4, pageTokens = 8, blocksOfContext = 250 };

/* Grid [sequences]: ids, starts, slots, past, embedding -> state (in place), hidden. */
void toy_recur(void *const *bindings, int64_t x, int64_t y, int64_t z) {
  const int32_t *ids = bindings[0], *starts = bindings[1], *slots = bindings[2],
                *past = bindings[3];
  const float *embedding = bindings[4];
  if (starts[x] == starts[x + 1])
    return;
  float *state = (float *)bindings[5] + slots[x] * width;
  float *hidden = bindings[6];
  for (int32_t t = starts[x]; t < starts[x + 1]; ++t) {
    int32_t position = past[x] + t - starts[x];
    for (int d = 0; d < width; ++d) {
      float before = position == 0 ? 0 : state[d];
      state[d] = 0.5f * before + embedding[ids[t] * width + d];
      hidden[t * width + d] = state[d] + 0.001f * (float)position;
    }
  }
}

/* Grid [sequences]: ids, starts, pages, past, embedding -> cache of ids (in place), hidden. */
void toy_paged(void *const *bindings, int64_t x, int64_t y, int64_t z) {
  const int32_t *ids = bindings[0], *starts = bindings[1], *past = bindings[3];
  const int32_t *pages = (const int32_t *)bindings[2] + x * blocksOfContext;
  const float *embedding = bindings[4];
  float *cache = bindings[5], *hidden = bindings[6];
  for (int32_t t = starts[x]; t < starts[x + 1]; ++t) {
    int32_t position = past[x] + t - starts[x];
    cache[pages[position / pageTokens] * pageTokens + position % pageTokens] = (float)ids[t];
    for (int d = 0; d < width; ++d) {
      float state = 0;
      for (int32_t p = 0; p <= position; ++p) {
        int32_t id = (int32_t)cache[pages[p / pageTokens] * pageTokens + p % pageTokens];
        state = 0.5f * state + embedding[id * width + d];
      }
      hidden[t * width + d] = state + 0.001f * (float)position;
    }
  }
}

/* Grid [rows, panels]: rows, hidden, packed head -> logits. */
void toy_project(void *const *bindings, int64_t x, int64_t y, int64_t z) {
  const int32_t *rows = bindings[0];
  const float *hidden = (const float *)bindings[1] + rows[x] * width;
  const float *head = (const float *)bindings[2] + y * width * panel;
  float *logits = (float *)bindings[3] + x * vocabulary;
  for (int64_t v = y * panel; v < vocabulary && v < (y + 1) * panel; ++v) {
    float sum = 0;
    for (int d = 0; d < width; ++d)
      sum += hidden[d] * head[d * panel + v % panel];
    logits[v] = sum;
  }
}

/* Grid [2, 3, 4]: x[24], scale[1] -> y[24] = scale * x + place in the grid. */
void toy_affine(void *const *bindings, int64_t x, int64_t y, int64_t z) {
  int64_t place = (z * 3 + y) * 2 + x;
  ((float *)bindings[2])[place] =
      ((const float *)bindings[1])[0] * ((const float *)bindings[0])[place] + (float)place;
}
