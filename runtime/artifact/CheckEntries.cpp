#include "runtime/artifact/Check.h"
#include "runtime/artifact/Checks.h"
#include "runtime/artifact/Limits.h"
#include "runtime/base/Checked.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace levin::artifact::detail {

namespace {

constexpr ErrorCode bad = ErrorCode::ArtifactEntry;

enum class Kind { Input, Output, State };

// Where a state tensor lies, and what it is.
struct StatePlace {
  TensorType type;
  uint64_t offset, size;
  bool operator==(const StatePlace &) const = default;
};

class EntryChecker {
public:
  explicit EntryChecker(const Manifest &manifest)
      : manifest(manifest), users(manifest.programs.size(), Path::noIndex) {}

  Status run();

private:
  Status checkEntry(const Entry &entry, size_t number, const Path &path);
  Status checkBindings(const Entry &entry, const Path &path) const;
  Status checkBinding(const Entry &entry, const Binding &binding, Kind kind,
                      const Path &path) const;
  Status checkPlace(const Slice &slice, const RankProgram &program, Kind kind,
                    const Path &path) const;
  Status checkPlain(const Entry &entry, const Path &path) const;
  Status checkStep(const Entry &entry, const Path &path);
  Status checkBucket(const Entry &entry, const Path &path);
  Status checkRoles(const Entry &entry, const Path &path) const;
  // Blocks that one sequence's cache is made of at most.
  uint64_t blocksOfContext() const {
    const Model &model = manifest.model;
    return model.maxContext / model.pageTokens + (model.maxContext % model.pageTokens != 0);
  }
  Status checkState(const Entry &entry, const Path &path);
  Status checkStatesApart() const;
  Status checkPages() const;
  Status checkModel() const;

  const Manifest &manifest;
  std::vector<uint64_t> users; // the entry of each program
  std::map<std::tuple<uint64_t, uint64_t, uint64_t>, std::string> buckets;
  std::optional<std::map<std::string, StatePlace>> states; // of the first step entry
};

// --- bindings ------------------------------------------------------------------------------------

Status EntryChecker::checkPlace(const Slice &slice, const RankProgram &program, Kind kind,
                                const Path &path) const {
  ArenaKind arena = manifest.arenas[slice.arena].kind;
  ArenaKind needed = kind == Kind::State ? ArenaKind::State : ArenaKind::Workspace;
  if (arena != needed)
    return path.refuse(bad, "the binding lies in the wrong arena")
        .note("have", nameOf(arena))
        .note("need", nameOf(needed));
  uint64_t commands = 0;
  for (const Stream &stream : program.streams)
    commands += stream.items.size();
  uint64_t last = commands ? commands - 1 : 0;
  bool begins = kind != Kind::Input || slice.firstCommand == 0;
  if (kind == Kind::State || (begins && slice.lastCommand == last))
    return {};
  return path.refuse(bad, "the binding does not live as long as its caller needs it")
      .note("have", fmt::format("commands {} to {}", slice.firstCommand, slice.lastCommand))
      .note("need", fmt::format("{} to {}", kind == Kind::Input ? "0" : "any", last));
}

Status EntryChecker::checkBinding(const Entry &entry, const Binding &binding, Kind kind,
                                  const Path &path) const {
  if (binding.role == Role::Invalid || binding.role > Role::Pages)
    return path
        .refuse(ErrorCode::ArtifactEnum, "role {} is unknown", static_cast<int>(binding.role))
        .note("need", fmt::format("1 to {}", static_cast<int>(Role::Pages)));
  LEVIN_RETURN_IF_ERROR(checkTensor(binding.type, Path(path, "type")));
  const Program &program = manifest.programs[entry.program];
  if (binding.slices.size() != program.ranks.size())
    return path.refuse(bad, "'{}' has a slice for another number of ranks", binding.name)
        .note("have", fmt::format("{}", binding.slices.size()))
        .note("need", fmt::format("{}", program.ranks.size()));
  for (size_t r = 0; r < binding.slices.size(); ++r) {
    Path at(path, "slices", r);
    const RankProgram &rank = program.ranks[r];
    LEVIN_RETURN_IF_ERROR(checkIndex(binding.slices[r], rank.slices.size(), "slices", at));
    const Slice &slice = rank.slices[binding.slices[r]];
    if (slice.size < byteSize(binding.type))
      return at.refuse(bad, "'{}' does not fit its slice", binding.name)
          .note("have", fmt::format("{} bytes", slice.size))
          .note("need", fmt::format("{} for {}", byteSize(binding.type), textOf(binding.type)));
    LEVIN_RETURN_IF_ERROR(checkPlace(slice, rank, kind, at));
  }
  return {};
}

Status EntryChecker::checkBindings(const Entry &entry, const Path &path) const {
  // State is both argument and result, so its names are taken on both sides.
  Names arguments, results;
  for (size_t i = 0; i < entry.state.size(); ++i) {
    Path at(path, "state", i);
    LEVIN_RETURN_IF_ERROR(arguments.add(entry.state[i].name, Path(at, "name")));
    LEVIN_RETURN_IF_ERROR(results.add(entry.state[i].name, Path(at, "name")));
    LEVIN_RETURN_IF_ERROR(checkBinding(entry, entry.state[i], Kind::State, at));
  }
  for (size_t i = 0; i < entry.inputs.size(); ++i) {
    Path at(path, "inputs", i);
    LEVIN_RETURN_IF_ERROR(arguments.add(entry.inputs[i].name, Path(at, "name")));
    LEVIN_RETURN_IF_ERROR(checkBinding(entry, entry.inputs[i], Kind::Input, at));
  }
  for (size_t i = 0; i < entry.outputs.size(); ++i) {
    Path at(path, "outputs", i);
    LEVIN_RETURN_IF_ERROR(results.add(entry.outputs[i].name, Path(at, "name")));
    LEVIN_RETURN_IF_ERROR(checkBinding(entry, entry.outputs[i], Kind::Output, at));
  }
  return {};
}

// --- plain functions -----------------------------------------------------------------------------

Status EntryChecker::checkPlain(const Entry &entry, const Path &path) const {
  if (!entry.state.empty())
    return path.refuse(bad, "the function '{}' has state", entry.name)
        .note("have", fmt::format("{} state tensors", entry.state.size()))
        .note("need", "none: only a step has state");
  for (const std::vector<Binding> *bindings : {&entry.inputs, &entry.outputs})
    for (const Binding &binding : *bindings)
      if (binding.role != Role::None)
        return path.refuse(bad, "'{}' of the function '{}' has a role", binding.name, entry.name)
            .note("have", nameOf(binding.role))
            .note("need", "none: only a step has roles");
  return {};
}

// --- steps ---------------------------------------------------------------------------------------

Status EntryChecker::checkBucket(const Entry &entry, const Path &path) {
  constexpr uint64_t most = uint64_t(1) << 30;
  uint64_t n = *entry.tokens, s = *entry.sequences, r = *entry.rows;
  if (s < 1 || n < s || n > most || r < 1 || r > n || s > manifest.model.slots)
    return path.refuse(bad, "the bucket of '{}' is impossible", entry.name)
        .note("have", fmt::format("{} tokens, {} sequences, {} rows, {} slots", n, s, r,
                                  manifest.model.slots))
        .note("need", fmt::format("1 <= sequences <= tokens <= {}, 1 <= rows <= tokens, "
                                  "sequences <= slots",
                                  most));
  auto [at, isNew] = buckets.insert({{n, s, r}, entry.name});
  if (!isNew)
    return path.refuse(bad, "'{}' has the bucket of '{}'", entry.name, at->second)
        .note("have", fmt::format("{} tokens, {} sequences, {} rows twice", n, s, r))
        .note("need", "each bucket once");
  return {};
}

Status EntryChecker::checkRoles(const Entry &entry, const Path &path) const {
  uint64_t n = *entry.tokens, s = *entry.sequences, r = *entry.rows;
  uint64_t v = manifest.model.vocabulary;
  std::vector<std::tuple<Role, const std::vector<Binding> &, TensorType>> needed = {
      {Role::Ids, entry.inputs, {DType::I32, {n}}},
      {Role::Starts, entry.inputs, {DType::I32, {s + 1}}},
      {Role::Slots, entry.inputs, {DType::I32, {s}}},
      {Role::Past, entry.inputs, {DType::I32, {s}}},
      {Role::Rows, entry.inputs, {DType::I32, {r}}},
      {Role::Logits, entry.outputs, {DType::F32, {r, v}}}};
  if (manifest.model.pages)
    needed.push_back({Role::Pages, entry.inputs, {DType::I32, {s, blocksOfContext()}}});
  for (const auto &[role, bindings, type] : needed) {
    auto hasRole = [role = role](const Binding &binding) { return binding.role == role; };
    auto found = std::find_if(bindings.begin(), bindings.end(), hasRole);
    if (found == bindings.end())
      return path.refuse(bad, "the step '{}' has no {}", entry.name, nameOf(role))
          .note("need", textOf(type));
    if (found->type != type)
      return path.refuse(bad, "'{}' of the step '{}' has another type", found->name, entry.name)
          .note("have", textOf(found->type))
          .note("need", fmt::format("{} for the {}", textOf(type), nameOf(role)));
  }
  // Each role was found, so a larger count means one twice, or a role that is out of place.
  if (entry.inputs.size() != needed.size() - 1 || entry.outputs.size() != 1)
    return path.refuse(bad, "the step '{}' has other bindings than its roles", entry.name)
        .note("have",
              fmt::format("{} inputs and {} outputs", entry.inputs.size(), entry.outputs.size()))
        .note("need", fmt::format("ids, starts, slots, past, rows{} and logits, once each",
                                  manifest.model.pages ? ", pages" : ""));
  return {};
}

Status EntryChecker::checkState(const Entry &entry, const Path &path) {
  std::map<std::string, StatePlace> places;
  for (size_t i = 0; i < entry.state.size(); ++i) {
    Path at(path, "state", i);
    const Binding &binding = entry.state[i];
    if (binding.role != Role::State)
      return at.refuse(bad, "the state '{}' has another role", binding.name)
          .note("have", nameOf(binding.role))
          .note("need", "state");
    uint64_t slots = manifest.model.slots, pages = manifest.model.pages;
    uint64_t first = binding.type.shape.empty() ? 0 : binding.type.shape[0];
    if (first == 0 || (first != slots && first != pages))
      return at
          .refuse(bad, "the state '{}' is divided neither into slots nor into pages", binding.name)
          .note("have", textOf(binding.type))
          .note("need", pages ? fmt::format("a first dimension of {} or {}", slots, pages)
                              : fmt::format("a first dimension of {}", slots));
    const Slice &slice = manifest.programs[entry.program].ranks[0].slices[binding.slices[0]];
    places.insert({binding.name, {binding.type, slice.offset, slice.size}});
  }
  if (!states) {
    states = std::move(places);
    return checkStatesApart();
  }
  if (*states == places)
    return {};
  for (const auto &[name, place] : places)
    if (auto known = states->find(name); known == states->end() || !(known->second == place))
      return path.refuse(bad, "the state '{}' is not where the first step has it", name)
          .note("have",
                fmt::format("{}, {}", textOf(place.type), rangeText(place.offset, place.size)))
          .note("need", known == states->end()
                            ? "no such state"
                            : fmt::format("{}, {}", textOf(known->second.type),
                                          rangeText(known->second.offset, known->second.size)));
  return path.refuse(bad, "the step '{}' lacks state that the first step has", entry.name)
      .note("have", fmt::format("{} state tensors", places.size()))
      .note("need", fmt::format("{}", states->size()));
}

Status EntryChecker::checkStatesApart() const {
  std::vector<std::pair<uint64_t, const std::pair<const std::string, StatePlace> *>> order;
  for (const auto &state : *states)
    order.emplace_back(state.second.offset, &state);
  std::sort(order.begin(), order.end(), [](const auto &a, const auto &b) {
    return std::tie(a.first, a.second->first) < std::tie(b.first, b.second->first);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const auto &[firstName, first] = *order[i - 1].second;
    const auto &[secondName, second] = *order[i].second;
    if (first.offset + first.size > second.offset) // both lie in the arena
      return Path("entries")
          .refuse(ErrorCode::ArtifactMemory, "the states '{}' and '{}' overlap", firstName,
                  secondName)
          .note("have", fmt::format("{} and {}", rangeText(first.offset, first.size),
                                    rangeText(second.offset, second.size)))
          .note("need", "places apart");
  }
  return {};
}

Status EntryChecker::checkStep(const Entry &entry, const Path &path) {
  LEVIN_RETURN_IF_ERROR(checkBucket(entry, path));
  LEVIN_RETURN_IF_ERROR(checkRoles(entry, path));
  return checkState(entry, path);
}

// --- all entries ---------------------------------------------------------------------------------

Status EntryChecker::checkEntry(const Entry &entry, size_t number, const Path &path) {
  LEVIN_RETURN_IF_ERROR(
      checkIndex(entry.program, manifest.programs.size(), "programs", Path(path, "program")));
  uint64_t &user = users[entry.program];
  if (user != Path::noIndex)
    return path
        .refuse(bad, "'{}' runs the program of '{}'", entry.name, manifest.entries[user].name)
        .note("have", fmt::format("program {} twice", entry.program))
        .note("need", "a program of its own");
  user = number;
  LEVIN_RETURN_IF_ERROR(checkBindings(entry, path));
  int given = entry.tokens.has_value() + entry.sequences.has_value() + entry.rows.has_value();
  if (given != 0 && given != 3)
    return path.refuse(bad, "the bucket of '{}' is incomplete", entry.name)
        .note("have", fmt::format("{} of tokens, sequences and rows", given))
        .note("need", "all three for a step, none for a function");
  return given ? checkStep(entry, path) : checkPlain(entry, path);
}

Status EntryChecker::checkPages() const {
  const Model &model = manifest.model;
  uint64_t most = uint64_t(1) << 31; // page numbers are int32
  if ((model.pages != 0) == (model.pageTokens != 0) && (!model.pages || model.maxContext) &&
      model.pages <= most && model.pageTokens <= limits::mapBox)
    return {};
  return Path("model")
      .refuse(bad, "the pages of the caches are impossible")
      .note("have", fmt::format("{} pages of {} tokens, context {}", model.pages, model.pageTokens,
                                model.maxContext))
      .note("need", fmt::format("none, or up to {} of 1 to {} tokens", most, limits::mapBox));
}

Status EntryChecker::checkModel() const {
  Path path("model");
  const Model &model = manifest.model;
  if (!model.family.empty() && !isName(model.family))
    return Path(path, "family")
        .refuse(ErrorCode::ArtifactName, "the family's name is not allowed")
        .note("have", fmt::format("{} bytes", model.family.size()))
        .note("need", fmt::format("1 to {} of A-Z a-z 0-9 . _ -", limits::nameBytes));
  bool step = !buckets.empty();
  if (step != (model.vocabulary != 0) || step != (model.slots != 0) ||
      step != (model.maxContext != 0))
    return path.refuse(bad, "{}", step ? "a step needs a model" : "a model without a step")
        .note("have", fmt::format("vocabulary {}, {} slots, context {}", model.vocabulary,
                                  model.slots, model.maxContext))
        .note("need", step ? "none of them 0" : "all of them 0");
  uint64_t most = uint64_t(1) << 31; // token ids and positions are int32
  if (model.vocabulary > most || model.maxContext > most || model.slots > limits::slots)
    return path.refuse(bad, "the model is too large")
        .note("have", fmt::format("vocabulary {}, {} slots, context {}", model.vocabulary,
                                  model.slots, model.maxContext))
        .note("need", fmt::format("at most {} each, and {} slots", most, limits::slots));
  std::vector<int32_t> tokens = model.endTokens;
  if (model.beginToken)
    tokens.push_back(*model.beginToken);
  for (int32_t token : tokens)
    if (token < 0 || static_cast<uint64_t>(token) >= model.vocabulary)
      return path.refuse(bad, "token {} is outside the vocabulary", token)
          .note("have", fmt::format("{}", token))
          .note("need", fmt::format("0 <= token < {}", model.vocabulary));
  return {};
}

Status EntryChecker::run() {
  LEVIN_RETURN_IF_ERROR(checkPages());
  Names names;
  for (size_t i = 0; i < manifest.entries.size(); ++i) {
    Path path("entries", i);
    LEVIN_RETURN_IF_ERROR(names.add(manifest.entries[i].name, Path(path, "name")));
    LEVIN_RETURN_IF_ERROR(checkEntry(manifest.entries[i], i, path));
  }
  for (size_t p = 0; p < users.size(); ++p)
    if (users[p] == Path::noIndex)
      return Path("programs", p)
          .refuse(bad, "no entry runs the program '{}'", manifest.programs[p].name)
          .note("need", "an entry for each program");
  return checkModel();
}

} // namespace

Status checkEntries(const Manifest &manifest) { return EntryChecker(manifest).run(); }

} // namespace levin::artifact::detail
