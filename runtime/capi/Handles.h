// What the handles of levin.h hold, and how C++ values become C values.
#ifndef LEVIN_RUNTIME_CAPI_HANDLES_H
#define LEVIN_RUNTIME_CAPI_HANDLES_H

#include "runtime/capi/levin.h"

#include "runtime/base/Status.h"
#include "runtime/session/Engine.h"
#include "runtime/session/Model.h"
#include "runtime/session/Session.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

struct levin_error {
  levin_status code;
  std::string text;
};

struct levin_model {
  std::shared_ptr<const levin::Model> model;
};

namespace levin::capi {

/// Memory for logits, which can grow large.
class LogitsBuffer {
public:
  ~LogitsBuffer() { std::free(memory); }
  LogitsBuffer() = default;
  LogitsBuffer(const LogitsBuffer &) = delete;
  LogitsBuffer &operator=(const LogitsBuffer &) = delete;

  /// Makes room for `rows` rows of `columns` floats; LV4001 if there is none.
  Status resize(uint64_t rows, uint64_t columns);
  float *data() { return memory; }

private:
  float *memory = nullptr;
  size_t capacity = 0; // floats
};

/// A session that its handle and its engines share.
struct SharedSession {
  std::unique_ptr<Session> session;
  mutable std::atomic<bool> busy{false};
  LogitsBuffer logits;                            // of the last levin_step
  std::vector<std::pair<size_t, size_t>> results; // of each sequence: first float and rows
};

/// Stores `status` as the C functions report it.
levin_status report(Status status, levin_error **error);

/// LV2009: `what` is wrong with the arguments of a call.
Status badArgument(std::string what);

/// The caller's structure as this library knows it: fields that an older caller does not have are
/// zero.  LV2009 if `size` was not set, or if a newer caller sets fields that are unknown here.
template <typename T> Result<T> readStruct(const T *given, const char *name) {
  static_assert(std::is_standard_layout_v<T>);
  T value{};
  if (!given)
    return value;
  if (given->size < sizeof(size_t) || given->size > 65536)
    return badArgument(fmt::format("the size of {} is {}: use LEVIN_INIT", name, given->size));
  std::memcpy(&value, given, std::min(given->size, sizeof(T)));
  const char *bytes = reinterpret_cast<const char *>(given);
  for (size_t i = sizeof(T); i < given->size; ++i)
    if (bytes[i] != 0)
      return badArgument(fmt::format("{} has fields set that this library does not know", name));
  value.size = sizeof(T);
  return value;
}

/// Copies as much of `value` as the caller's structure has room for.
template <typename T> Status writeStruct(T value, T *target, const char *name) {
  if (!target)
    return badArgument(fmt::format("{} is NULL", name));
  if (target->size < sizeof(size_t) || target->size > 65536)
    return badArgument(fmt::format("the size of {} is {}: use LEVIN_INIT", name, target->size));
  value.size = target->size;
  std::memcpy(target, &value, std::min(target->size, sizeof(T)));
  return {};
}

Sampling samplingOf(const levin_sampling &sampling);
/// `choice` as a C value, with `alternatives` as the memory behind it.
levin_choice choiceOf(const Choice &choice, std::vector<levin_alternative> &alternatives);

/// Holds a session for one call; ok() is false if another call holds it.
class Busy {
public:
  explicit Busy(const SharedSession &session) : session(session) {
    held = !session.busy.exchange(true, std::memory_order_acquire);
  }
  ~Busy() {
    if (held)
      session.busy.store(false, std::memory_order_release);
  }
  Busy(const Busy &) = delete;
  Busy &operator=(const Busy &) = delete;

  Status status() const;

private:
  const SharedSession &session;
  bool held;
};

} // namespace levin::capi

struct levin_session {
  std::shared_ptr<levin::capi::SharedSession> shared;
};

/// Returns LV2009 from a C function if `condition` does not hold.
#define LEVIN_CAPI_REQUIRE(condition, what)                                                        \
  do {                                                                                             \
    if (!(condition))                                                                              \
      return ::levin::capi::report(::levin::capi::badArgument(what), error);                       \
  } while (false)

/// Returns the status of `expression` from a C function if it is a failure.
#define LEVIN_CAPI_TRY(expression)                                                                 \
  do {                                                                                             \
    if (::levin::Status levinStatus = (expression); !levinStatus.ok())                             \
      return ::levin::capi::report(std::move(levinStatus), error);                                 \
  } while (false)

#endif // LEVIN_RUNTIME_CAPI_HANDLES_H
