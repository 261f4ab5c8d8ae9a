// What a step has to do, counted from the manifest: the least bytes that cross memory, and FLOPs.
#ifndef LEVIN_TOOLS_LEVIN_BENCH_WORK_H
#define LEVIN_TOOLS_LEVIN_BENCH_WORK_H

#include "runtime/artifact/Manifest.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace levin::bench {

/// Bytes and floating-point operations.  A multiplication and an addition count as two.
struct Work {
  double parameters = 0;  // bytes of weights; of experts those that random routing would choose
  double state = 0;       // bytes of recurrent state, read and written
  double cache = 0;       // bytes of keys and values: the past read, the new ones written
  double activations = 0; // bytes of tensors between kernels; a launch has them, a step does not
  double flops = 0;       // of matrix products and attention

  double bytes() const { return parameters + state + cache + activations; }
  Work &operator+=(const Work &other);
};

/// What one run of a bucket is given.
struct StepShape {
  struct Sequence {
    uint64_t tokens = 0, past = 0;
    bool operator==(const Sequence &) const = default;
  };
  std::vector<Sequence> sequences;
  uint64_t rows = 0; // of logits
  bool operator==(const StepShape &) const = default;

  uint64_t tokens() const;
};

/// A kernel's name taken apart: "linear_silu_64x768x192" is "linear_silu" on [64, 768, 192].
struct KernelName {
  std::string_view ops;
  std::vector<uint64_t> extents;

  static KernelName parse(std::string_view name);
  bool has(std::string_view op) const { return ops.find(op) != ops.npos; }
};

/// Counts for the program of one step entry.  Refers to the manifest.
class WorkCounter {
public:
  WorkCounter(const artifact::Manifest &manifest, const artifact::Entry &entry);

  /// The work of one launch of the entry's program, with activations.
  Work launch(const artifact::Launch &launch, const StepShape &shape) const;
  /// The work of the whole program.  Activations are left out: how many of them reach memory is
  /// the program's choice and no need.
  Work step(const StepShape &shape) const;

private:
  struct Bound {
    const artifact::Ref *ref;
    const artifact::Parameter *parameter; // or
    const artifact::Binding *state;       // or neither: an activation
  };
  std::vector<Bound> bind(const artifact::Launch &launch) const;
  const artifact::Parameter *findParameter(uint64_t offset) const;
  double parameterBytes(const artifact::Parameter &parameter, const KernelName &name,
                        const StepShape &shape) const;
  void addProducts(const KernelName &name, const std::vector<Bound> &bindings,
                   const StepShape &shape, Work &work) const;
  void addState(const KernelName &name, const std::vector<Bound> &bindings, const StepShape &shape,
                Work &work) const;
  /// How much of `extent` rows of a kernel are used.
  double rowsUsed(uint64_t extent, const StepShape &shape) const;

  const artifact::Manifest &manifest;
  const artifact::Entry &entry;
  const artifact::RankProgram &program;
  std::vector<const artifact::Parameter *> byOffset;
};

} // namespace levin::bench

#endif // LEVIN_TOOLS_LEVIN_BENCH_WORK_H
