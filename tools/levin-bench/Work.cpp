#include "tools/levin-bench/Work.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace levin::bench {

using namespace artifact;

Work &Work::operator+=(const Work &other) {
  parameters += other.parameters;
  state += other.state;
  cache += other.cache;
  activations += other.activations;
  flops += other.flops;
  return *this;
}

uint64_t StepShape::tokens() const {
  uint64_t count = 0;
  for (const Sequence &sequence : sequences)
    count += sequence.tokens;
  return count;
}

/// The extents in "64x768x192"; none if `text` is something else.
static std::vector<uint64_t> parseExtents(std::string_view text) {
  std::vector<uint64_t> extents;
  const char *at = text.data(), *end = at + text.size();
  while (at != end) {
    uint64_t extent = 0;
    auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc() || (next != end && (*next != 'x' || next + 1 == end)))
      return {};
    extents.push_back(extent);
    at = next == end ? end : next + 1;
  }
  return extents;
}

KernelName KernelName::parse(std::string_view name) {
  KernelName parsed{name, {}};
  // A name that is there already gets a number behind its extents.
  for (size_t at = name.rfind('_'); at != name.npos && at > 0; at = name.rfind('_', at - 1)) {
    std::string_view last = name.substr(at + 1);
    last = last.substr(0, last.find('_'));
    std::vector<uint64_t> extents = parseExtents(last);
    if (extents.empty())
      break;
    parsed = {name.substr(0, at), std::move(extents)};
  }
  return parsed;
}

WorkCounter::WorkCounter(const Manifest &manifest, const Entry &entry)
    : manifest(manifest), entry(entry), program(manifest.programs[entry.program].ranks[0]) {
  for (const Parameter &parameter : manifest.parameters)
    byOffset.push_back(&parameter);
  std::ranges::sort(byOffset, {}, [](const Parameter *p) { return p->offset; });
}

const Parameter *WorkCounter::findParameter(uint64_t offset) const {
  auto after =
      std::ranges::upper_bound(byOffset, offset, {}, [](const Parameter *p) { return p->offset; });
  if (after == byOffset.begin())
    return nullptr;
  const Parameter *parameter = *(after - 1);
  return offset < parameter->offset + parameter->size ? parameter : nullptr;
}

std::vector<WorkCounter::Bound> WorkCounter::bind(const Launch &launch) const {
  std::vector<Bound> bindings;
  for (const Ref &ref : launch.bindings) {
    Bound bound{&ref, nullptr, nullptr};
    const Slice &slice = program.slices[ref.slice];
    ArenaKind kind = manifest.arenas[slice.arena].kind;
    if (kind == ArenaKind::Parameters)
      bound.parameter = findParameter(slice.offset + ref.offset);
    if (kind == ArenaKind::State)
      for (const Binding &state : entry.state)
        if (state.slices[0] == ref.slice)
          bound.state = &state;
    bindings.push_back(bound);
  }
  return bindings;
}

double WorkCounter::rowsUsed(uint64_t extent, const StepShape &shape) const {
  uint64_t tokens = entry.tokens.value_or(0);
  if (tokens == 0)
    return static_cast<double>(extent);
  if (extent % tokens == 0) // tokens, or copies of them for their experts
    return static_cast<double>(extent / tokens * shape.tokens());
  if (entry.rows && extent == *entry.rows)
    return static_cast<double>(shape.rows);
  return static_cast<double>(extent);
}

/// Experts that `tokens` choose together when each of them chooses `choices` of `experts`, all
/// equally likely.
static double expertsTouched(double experts, double choices, double tokens) {
  return experts * (1 - std::pow(1 - std::min(1.0, choices / experts), tokens));
}

double WorkCounter::parameterBytes(const Parameter &parameter, const KernelName &name,
                                   const StepShape &shape) const {
  double size = static_cast<double>(parameter.size);
  const std::vector<uint64_t> &extents = parameter.type.shape;
  double tokens = static_cast<double>(shape.tokens());
  if (name.has("embed") && extents.size() == 2)
    return std::min(size, size / static_cast<double>(extents[0]) * tokens);
  if (name.has("grouped_linear") && extents.size() == 3 && !name.extents.empty() &&
      entry.tokens.value_or(0) > 0) {
    double experts = static_cast<double>(extents[0]);
    double choices = static_cast<double>(name.extents[0]) / static_cast<double>(*entry.tokens);
    return size / experts * expertsTouched(experts, choices, tokens);
  }
  return size;
}

/// 2 m n k for every matrix that a kernel multiplies by.
void WorkCounter::addProducts(const KernelName &name, const std::vector<Bound> &bindings,
                              const StepShape &shape, Work &work) const {
  if (!name.has("linear") || name.extents.size() < 3)
    return;
  const std::vector<uint64_t> &extents = name.extents;
  uint64_t matrix = extents[extents.size() - 1] * extents[extents.size() - 2];
  uint64_t stored = extents.size() == 4 ? extents[1] * matrix : matrix;
  double products = 0;
  for (const Bound &bound : bindings) {
    if (!bound.parameter)
      continue;
    uint64_t elements = 1;
    for (uint64_t extent : bound.parameter->type.shape)
      elements *= extent;
    bool pairs = bound.parameter->type.dtype == DType::U8 && 2 * elements == stored; // 4 bits each
    products += elements == stored || pairs ? 1 : 0;
  }
  work.flops +=
      std::max(products, 1.0) * 2 * rowsUsed(extents[0], shape) * static_cast<double>(matrix);
}

void WorkCounter::addState(const KernelName &name, const std::vector<Bound> &bindings,
                           const StepShape &shape, Work &work) const {
  std::vector<const Binding *> states;
  for (const Bound &bound : bindings)
    if (bound.state && (states.empty() || states.back() != bound.state))
      states.push_back(bound.state);
  if (states.empty())
    return;
  const std::vector<uint64_t> &extents = states[0]->type.shape;
  double elementBytes = static_cast<double>(byteSize(states[0]->type.dtype));
  if (name.has("lightning") && extents.size() == 4) {
    double elements = static_cast<double>(extents[1] * extents[2] * extents[3]);
    for (const StepShape::Sequence &sequence : shape.sequences) {
      work.state += elements * elementBytes * (sequence.past > 0 ? 2 : 1);
      work.flops += 4 * elements * static_cast<double>(sequence.tokens); // update, then output
    }
    return;
  }
  if (!name.has("attention") || extents.size() < 4 || name.extents.empty())
    return;
  // Keys are [slots, G, blocks, D, B] or [pages, G, B, D]; the output is [tokens, heads x D].
  double perToken = static_cast<double>(extents[1] * extents[3]) * elementBytes *
                    static_cast<double>(states.size());
  double width = static_cast<double>(name.extents.back());
  for (const StepShape::Sequence &sequence : shape.sequences) {
    double tokens = static_cast<double>(sequence.tokens), past = static_cast<double>(sequence.past);
    work.cache += perToken * (past + tokens);
    work.flops += 4 * width * (tokens * past + tokens * (tokens + 1) / 2);
  }
}

Work WorkCounter::launch(const Launch &launch, const StepShape &shape) const {
  Work work;
  const Export &symbol = manifest.executables[launch.executable].exports[launch.exportIndex];
  KernelName name = KernelName::parse(symbol.name);
  std::vector<Bound> bindings = bind(launch);
  double used = entry.tokens.value_or(0) == 0
                    ? 1
                    : static_cast<double>(shape.tokens()) / static_cast<double>(*entry.tokens);
  for (const Bound &bound : bindings) {
    if (bound.parameter)
      work.parameters += parameterBytes(*bound.parameter, name, shape);
    else if (!bound.state)
      work.activations += used * static_cast<double>(bound.ref->size);
  }
  addProducts(name, bindings, shape, work);
  addState(name, bindings, shape, work);
  return work;
}

Work WorkCounter::step(const StepShape &shape) const {
  Work work;
  for (const Stream &stream : program.streams)
    for (const Item &item : stream.items)
      if (const auto *command = std::get_if<Launch>(&item.command))
        work += launch(*command, shape);
  work.activations = 0;
  return work;
}

} // namespace levin::bench
