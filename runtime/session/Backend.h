// What a session computes on: the memory of its state and workspace, and the programs bound to it.
#ifndef LEVIN_RUNTIME_SESSION_BACKEND_H
#define LEVIN_RUNTIME_SESSION_BACKEND_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"
#include "runtime/hal/ThreadPool.h"
#include "runtime/session/Sampler.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace levin {

class Model;
struct SessionOptions;

/// What of a run's results will be read.
struct Wanted {
  const artifact::Binding *result = nullptr; // null: nothing
  uint64_t bytes = 0;                        // the first so many of it; or, if `rows` is not 0,
  uint64_t rows = 0;                         // summaries of the first so many rows of logits
};

/// For one thread at a time.  A run is begin(), the inputs written, run(), the results read.
class Backend {
public:
  virtual ~Backend() = default;

  /// Makes room for the inputs of a run of `program`; poisons unused memory if the session
  /// validates.
  virtual Status begin(uint32_t program) = 0;
  /// The bytes of an input of `program`, to be written before run().
  virtual std::span<std::byte> input(uint32_t program, const artifact::Binding &binding) = 0;
  /// Whether it can tell of logits without handing them over.
  virtual bool summarises() const { return false; }
  virtual Status run(uint32_t program, const Wanted &wanted) = 0;
  /// Of row `row` of the logits of the last run, which wanted it.
  virtual RowSummary summary(uint64_t row) const { return {}; }
  /// Bytes of a result from `offset` on: at most `bytes`, at least one row of its last dimension if
  /// `bytes` has one.  Valid until the next call of any function.
  virtual Result<std::span<const std::byte>>
  read(uint32_t program, const artifact::Binding &binding, uint64_t offset, uint64_t bytes) = 0;
  /// Kernels that a run of `program` launches.
  virtual uint64_t launches(uint32_t program) const = 0;
};

/// A backend of the processor; `pool` must outlive it.
Result<std::unique_ptr<Backend>> makeHostBackend(const Model &model, const SessionOptions &options,
                                                 hal::ThreadPool &pool);
/// A backend of the GPU that `model` was loaded for; the model must outlive it.
Result<std::unique_ptr<Backend>> makeCudaBackend(const Model &model, const SessionOptions &options);

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_BACKEND_H
