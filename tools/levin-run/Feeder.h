// Feeding whole sequences through a session, in pieces, as many at a time as there are slots.
#ifndef LEVIN_TOOLS_LEVIN_RUN_FEEDER_H
#define LEVIN_TOOLS_LEVIN_RUN_FEEDER_H

#include "tools/levin-run/Library.h"
#include "tools/levin-run/Options.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace levin::run {

/// Feeds `sequences`, each into its own slot, and hands over the logits of every token
/// (LEVIN_LOGITS_ALL) or of the last one (LEVIN_LOGITS_LAST) with the number of the sequence and
/// the place in it.  `done` (may be empty) is told how many tokens are fed.
Status feedAll(Session &session, const Model &model,
               std::span<const std::span<const int32_t>> sequences, const Chunks &chunks,
               levin_logits_mode mode, const RowFunction &onRow,
               const std::function<void(size_t)> &done = {});

/// LV4002 if `tokens` do not fit into a sequence.
Status checkLength(const Model &model, size_t tokens);

/// Writes rows of f32 logits as tensors of a safetensors file, [rows, vocabulary] each.
struct NamedRows {
  std::string name;
  std::vector<float> values;
};
Status writeRows(const std::string &path, std::span<const NamedRows> tensors, uint64_t columns);

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_FEEDER_H
