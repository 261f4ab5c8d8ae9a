#include "tools/levin-bench/Meter.h"

#include "tools/levin-bench/CudaMeter.h"
#include "tools/levin-bench/HostMeter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace levin::bench {

using artifact::Role;

Spread Spread::of(std::vector<double> values) {
  if (values.empty())
    return {};
  std::ranges::sort(values);
  auto at = [&](double part) {
    return values[static_cast<size_t>(std::lround(part * static_cast<double>(values.size() - 1)))];
  };
  size_t middle = values.size() / 2;
  double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, at(0.1), at(0.9)};
}

/// The extents of the entry's input of `role`; none if it has no such input.
static std::vector<uint64_t> extentsOf(const artifact::Entry &entry, Role role) {
  for (const artifact::Binding &binding : entry.inputs)
    if (binding.role == role)
      return binding.type.shape;
  return {};
}

/// Pages of the caches of `entry`; at least 1.
static uint64_t pagesOf(const artifact::Entry &entry) {
  uint64_t pages = std::numeric_limits<uint64_t>::max();
  for (const artifact::Binding &state : entry.state)
    if (state.name.ends_with("keys") || state.name.ends_with("values"))
      pages = std::min(pages, state.type.shape[0]);
  return std::max<uint64_t>(pages, 1);
}

const std::vector<int32_t> *StepInputs::of(Role role) const {
  switch (role) {
  case Role::Ids:
    return &ids;
  case Role::Starts:
    return &starts;
  case Role::Slots:
    return &slots;
  case Role::Past:
    return &past;
  case Role::Rows:
    return &rows;
  case Role::Pages:
    return &pages;
  default:
    return nullptr;
  }
}

StepInputs makeInputs(const artifact::Manifest &manifest, const artifact::Entry &entry,
                      const StepShape &shape, uint64_t seed) {
  StepInputs inputs;
  inputs.shape = shape;
  std::mt19937_64 generator(seed);
  std::uniform_int_distribution<int32_t> token(
      0, static_cast<int32_t>(std::max<uint64_t>(manifest.model.vocabulary, 1) - 1));
  int32_t total = 0;
  for (const StepShape::Sequence &sequence : shape.sequences) {
    inputs.starts.push_back(total);
    inputs.slots.push_back(static_cast<int32_t>(inputs.slots.size()));
    inputs.past.push_back(static_cast<int32_t>(sequence.past));
    for (uint64_t i = 0; i < sequence.tokens; ++i)
      inputs.ids.push_back(token(generator));
    total += static_cast<int32_t>(sequence.tokens);
    if (inputs.rows.size() < shape.rows)
      inputs.rows.push_back(total - 1);
  }
  // Padding, as a session pads.
  inputs.ids.resize(entry.tokens.value_or(0), 0);
  inputs.starts.resize(entry.sequences.value_or(0) + 1, total);
  inputs.slots.resize(entry.sequences.value_or(0), 0);
  inputs.past.resize(entry.sequences.value_or(0), 0);
  inputs.rows.resize(entry.rows.value_or(0), 0);
  std::vector<uint64_t> table = extentsOf(entry, Role::Pages); // [sequences, blocks]
  for (uint64_t i = 0; table.size() == 2 && i < table[0] * table[1]; ++i)
    inputs.pages.push_back(static_cast<int32_t>(i % pagesOf(entry)));
  return inputs;
}

Result<std::unique_ptr<Meter>> makeMeter(std::shared_ptr<const Model> model, unsigned threads) {
  return model->cuda() ? CudaMeter::create(std::move(model))
                       : HostMeter::create(std::move(model), threads);
}

} // namespace levin::bench
