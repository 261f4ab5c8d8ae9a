// levin.h with owners and Status.
#ifndef LEVIN_TOOLS_LEVIN_RUN_LIBRARY_H
#define LEVIN_TOOLS_LEVIN_RUN_LIBRARY_H

#include "runtime/base/Status.h"
#include "runtime/capi/levin.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace levin::run {

/// The failure that a function of the library reported; frees `error`.
Status takeError(levin_status status, levin_error *error);

/// Calls a function of the library, whose last argument is the error.
template <typename Function, typename... Args> Status call(Function function, Args &&...args) {
  levin_error *error = nullptr;
  levin_status status = function(std::forward<Args>(args)..., &error);
  return takeError(status, error);
}

template <auto free> struct Freed {
  void operator()(auto *object) const { free(object); }
};
using ModelHandle = std::unique_ptr<levin_model, Freed<levin_model_free>>;
using SessionHandle = std::unique_ptr<levin_session, Freed<levin_session_free>>;
using SamplerHandle = std::unique_ptr<levin_sampler, Freed<levin_sampler_free>>;
using EngineHandle = std::unique_ptr<levin_engine, Freed<levin_engine_free>>;

/// A loaded model and what is known of it.
class Model {
public:
  static Result<Model> load(const std::string &path, const levin_load_options &options);

  levin_model *get() const { return handle.get(); }
  const levin_model_info &info() const { return about; }
  /// The bytes of an asset; nothing if the artifact has none of that name.
  std::optional<std::string_view> asset(const std::string &name) const;
  std::vector<std::string> assetNames() const;

private:
  ModelHandle handle;
  levin_model_info about{};
};

/// A session and the slots taken from it.
class Session {
public:
  static Result<Session> create(const Model &model, const levin_session_options &options);

  levin_session *get() const { return handle.get(); }
  Result<int32_t> acquire();
  Status release(int32_t slot);

private:
  SessionHandle handle;
};

/// Tokens for one sequence of a step.
struct Feed {
  int32_t slot;
  std::span<const int32_t> tokens;
  levin_logits_mode logits = LEVIN_LOGITS_NONE;
};

/// Takes the row of logits of token `position` of sequence number `sequence`.
using RowFunction = std::function<void(size_t sequence, size_t position, const float *logits)>;

/// levin_step_rows; with LEVIN_LOGITS_NONE everywhere, `onRow` may be empty.
Status step(const Session &session, std::span<const Feed> feeds, const RowFunction &onRow);

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_LIBRARY_H
