// Two kernels for the small artifact of the tests, and with a macro defined what an artifact's code
// must not have.
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void scale(void *const *bindings, int64_t x, int64_t y, int64_t z) {
  const float *from = bindings[0];
  float *to = bindings[1];
  to[x] = 2 * from[x];
}

EXPORT void step_kernel(void *const *bindings, int64_t x, int64_t y, int64_t z) {
  const int32_t *ids = bindings[0], *rows = bindings[4];
  const float *table = bindings[5];
  float *logits = bindings[7];
  for (int v = 0; v < 8; ++v)
    logits[8 * x + v] = table[ids[rows[x]] % 4] + (float)v;
}

#ifdef WITH_RELOCATION
EXPORT const int64_t target = 1;
EXPORT const int64_t *const pointer = &target;
#endif

#ifdef WITH_DATA
int64_t counter = 1;
EXPORT void count(void *const *bindings, int64_t x, int64_t y, int64_t z) { counter += x; }
#endif

#ifdef WITH_CONSTRUCTOR
static __attribute__((constructor)) void begin(void) { __asm__ volatile("nop"); }
#endif

#ifdef WITH_UNDEFINED
void elsewhere(void);
EXPORT void calls(void *const *bindings, int64_t x, int64_t y, int64_t z) { elsewhere(); }
#endif

#ifdef WITH_THREAD_DATA
_Thread_local int64_t own;
EXPORT void keeps(void *const *bindings, int64_t x, int64_t y, int64_t z) { own = x; }
#endif
