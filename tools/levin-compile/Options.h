// What levin-compile is asked to do.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_OPTIONS_H
#define LEVIN_TOOLS_LEVINCOMPILE_OPTIONS_H

#include "codegen/cuda/CudaTarget.h"
#include "codegen/host/HostTarget.h"
#include "passes/pipelines/Pipelines.h"
#include "runtime/base/Status.h"
#include "tools/common/Progress.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace levin::compile {

struct Options {
  std::string input;   // a model folder or a .mlir file
  std::string output;  // empty: named after the input, in the current folder
  std::string weights; // folder of weight files, for a .mlir file; empty: beside it
  std::vector<std::string> overrides;
  bool randomWeights = false; // no checkpoint: whoever runs the artifact fills it

  std::string targets = "host";
  std::string buckets; // empty: the default ones that fit
  uint64_t slots = 4;
  std::optional<uint64_t> maxContext;
  std::string dtype = "auto";
  std::string activations; // f32 or bf16; empty: what suits the target
  std::string kvType;      // f32, bf16 or f8, of caches in pages; empty: what suits the target
  std::optional<uint64_t> kvPages;
  std::string quantise; // "experts=int4g64,attn=int8"; empty: as the model says
  std::string kernels = "auto";
  std::optional<uint64_t> memory; // bytes of the machine that runs the artifact

  bool planOnly = false;
  std::string stopAfter, dumpPhases;
  std::vector<std::string> printIrAfter, plugins, insertions;
  std::string remarks;
  bool timePasses = false, printPipeline = false;
  uint64_t threads = 0; // 0: one for each processor

  bool json = false;
  tool::ProgressMode progress = tool::ProgressMode::Auto;
};

/// Passes to run after a phase: "after:fuse=canonicalize,my-pass{limit=3}".
struct Insertion {
  std::string phase, pipeline;
};

/// Every name that --stop-after takes, in order.
std::vector<std::string> phaseNames();

/// Parses "T[xS[xR]],.."; rows are as many as sequences unless said otherwise.  LV2002 for text
/// that is no bucket, and for a bucket that `slots` sequences cannot fill.
Result<std::vector<pipelines::Bucket>> parseBuckets(std::string_view text, uint64_t slots);

/// The default buckets with no more sequences than `slots`, each once.
std::vector<pipelines::Bucket> defaultBuckets(uint64_t slots);

/// What an artifact is compiled for: processors, or a GPU.
struct Targets {
  std::vector<host::HostTarget> host;
  std::optional<cuda::CudaTarget> cuda; // then there is no other
};

/// Parses "host,host-x86_64-v3" or "cuda": "host" is the best target of this machine, "cuda" the
/// most capable GPU.  LV2006; LV2002 for a mixture of both.
Result<Targets> parseTargets(std::string_view text);

/// Sets in which types matrices, values between kernels and caches are stored, as asked for or as
/// suits the target.
void chooseTypes(const Options &options, pipelines::TargetOptions &target);

/// Bytes of one number in a cache of `type` as chooseTypes() sets it; f32 if empty.
uint64_t bytesOfCacheNumber(std::string_view type);

/// LV2002 if it has another form or names no phase.
Result<Insertion> parseInsertion(std::string_view text);

/// "64x16" or, where rows are not as many as sequences, "256x1x256".
std::string textOf(const pipelines::Bucket &bucket);

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_OPTIONS_H
