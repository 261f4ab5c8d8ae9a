// Options that several subcommands of levin-run have.
#ifndef LEVIN_TOOLS_LEVIN_RUN_OPTIONS_H
#define LEVIN_TOOLS_LEVIN_RUN_OPTIONS_H

#include "tools/common/CommandLine.h"
#include "tools/levin-run/Library.h"

#include <optional>
#include <string>
#include <vector>

namespace levin::run {

/// Which model and on what it runs.
struct ModelOptions {
  std::string artifact;
  std::vector<std::string> weights;
  std::string device;
  std::optional<uint64_t> randomWeights;
  uint64_t threads = 0, timeout = 0;
  bool validate = false;
  bool trustWeights = false;

  void add(tool::Command &command);
  /// Loads with progress; `seconds` is how long it took.
  Result<Model> load(const tool::GeneralOptions &general, double *seconds = nullptr) const;
  /// Opens the artifact without weights and code.
  Result<Model> inspect() const;
  Result<Session> start(const Model &model) const;
};

/// How tokens are chosen.
struct SamplingOptions {
  double temperature = 0, topP = 0, minP = 0, repetitionPenalty = 0;
  uint64_t topK = 0, seed = 0, logprobs = 0;

  void add(tool::Command &command);
  levin_sampling get() const;
};

/// Prompts as texts and ids, in the order of the command line by kind.
struct PromptOptions {
  std::vector<std::string> prompts, files, ids;
  bool noBegin = false;

  void add(tool::Command &command);
};

/// Sizes of the pieces in which a prompt is fed; used over and over.
struct Chunks {
  std::vector<size_t> sizes; // empty: all at once

  /// Reads "7" or "1,7,256".  LV2002.
  static Result<Chunks> parse(const std::string &text);
  /// The size of piece number `index`, at most `left`.
  size_t size(size_t index, size_t left) const;
};

/// Reads "1,5,7" (also separated by spaces).  LV2002 if it is no such list, LV2008 for an id that
/// no vocabulary has.
Result<std::vector<int32_t>> parseIds(const std::string &text);

/// All of standard input, at most 1 GiB.  LV2003.
Result<std::string> readStandardInput();

/// Seconds since some moment.
double now();

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_OPTIONS_H
