// Session::call: one entry, run as it is.
#include "runtime/session/Session.h"

#include "runtime/base/DidYouMean.h"
#include "runtime/session/StepValues.h"

#include <algorithm>
#include <cstring>

namespace levin {

using artifact::Binding;
using artifact::Role;

namespace {

/// The values of a step's arguments; kernels trust them.  The artifact's checks made sure that all
/// five are there, as vectors of i32.
class RoleChecker {
public:
  /// `pages`: how many the caches have.
  RoleChecker(const artifact::Entry &entry, const artifact::Model &model, uint64_t pages)
      : entry(entry), model(model), pages(pages) {}

  void add(const Binding &binding, std::span<const std::byte> bytes) {
    if (binding.role != Role::None && binding.role != Role::State)
      arguments.push_back({&binding, bytes});
  }
  Status check() const;

private:
  struct Argument {
    const Binding *binding;
    std::span<const std::byte> bytes;

    uint64_t count() const { return binding->type.shape[0]; }
    int64_t at(uint64_t index) const { return integerAt(bytes, index); }
  };
  const Argument *find(Role role) const {
    for (const Argument &argument : arguments)
      if (argument.binding->role == role)
        return &argument;
    return nullptr;
  }
  Status outOfRange(const Argument &argument, uint64_t index, std::string need) const {
    return makeError(ErrorCode::InputFile, "input '{}' of entry '{}' has an impossible value",
                     argument.binding->name, entry.name)
        .note("have", fmt::format("{} at {}", argument.at(index), index))
        .note("need", std::move(need));
  }
  Status checkIds() const;
  Status checkStarts() const;
  Status checkSequences() const;
  Status checkRows() const;
  Status checkPages() const;

  const artifact::Entry &entry;
  const artifact::Model &model;
  uint64_t pages;
  std::vector<Argument> arguments;
};

Status RoleChecker::checkIds() const {
  const Argument *ids = find(Role::Ids);
  for (uint64_t i = 0; ids && i < ids->count(); ++i)
    if (ids->at(i) < 0 || static_cast<uint64_t>(ids->at(i)) >= model.vocabulary)
      return makeError(ErrorCode::TokenRange, "token {} is outside the vocabulary", ids->at(i))
          .note("where", fmt::format("input '{}', position {}", ids->binding->name, i))
          .note("need", fmt::format("0 to {}", static_cast<int64_t>(model.vocabulary) - 1));
  return {};
}

Status RoleChecker::checkStarts() const {
  const Argument *starts = find(Role::Starts);
  int64_t tokens = static_cast<int64_t>(entry.tokens.value_or(0)), before = 0;
  for (uint64_t i = 0; starts && i < starts->count(); ++i) {
    if (starts->at(i) < before || starts->at(i) > tokens || (i == 0 && starts->at(i) != 0))
      return outOfRange(*starts, i,
                        fmt::format("0 first, then no less than the one before and no more "
                                    "than {}",
                                    tokens));
    before = starts->at(i);
  }
  return {};
}

/// Slots and past lengths of sequences that have tokens; those of others are not looked at.
Status RoleChecker::checkSequences() const {
  const Argument *starts = find(Role::Starts), *slots = find(Role::Slots), *past = find(Role::Past);
  if (!starts)
    return {};
  std::vector<bool> used(slots ? model.slots : 0, false);
  for (uint64_t s = 0; s + 1 < starts->count(); ++s) {
    int64_t length = starts->at(s + 1) - starts->at(s);
    if (length == 0)
      continue;
    if (slots && s < slots->count()) {
      int64_t slot = slots->at(s);
      if (slot < 0 || static_cast<uint64_t>(slot) >= model.slots)
        return outOfRange(*slots, s, fmt::format("0 to {}", static_cast<int64_t>(model.slots) - 1));
      if (used[static_cast<size_t>(slot)])
        return outOfRange(*slots, s, "each slot once");
      used[static_cast<size_t>(slot)] = true;
    }
    int64_t limit = static_cast<int64_t>(model.maxContext);
    if (past && s < past->count() && (past->at(s) < 0 || past->at(s) > limit - length))
      return outOfRange(*past, s,
                        fmt::format("0 to {}, for {} more tokens", limit - length, length));
  }
  return {};
}

Status RoleChecker::checkRows() const {
  const Argument *rows = find(Role::Rows);
  int64_t tokens = static_cast<int64_t>(entry.tokens.value_or(0));
  for (uint64_t i = 0; rows && i < rows->count(); ++i)
    if (rows->at(i) < 0 || rows->at(i) >= tokens)
      return outOfRange(*rows, i, fmt::format("0 to {}", tokens - 1));
  return {};
}

/// Every entry of the table is looked at by some kernel, so all must name a page.
Status RoleChecker::checkPages() const {
  const Argument *table = find(Role::Pages);
  for (uint64_t i = 0; table && i < table->count() * table->binding->type.shape[1]; ++i)
    if (table->at(i) < 0 || static_cast<uint64_t>(table->at(i)) >= pages)
      return outOfRange(*table, i, fmt::format("0 to {}", static_cast<int64_t>(pages) - 1));
  return {};
}

Status RoleChecker::check() const {
  LEVIN_RETURN_IF_ERROR(checkIds());
  LEVIN_RETURN_IF_ERROR(checkStarts());
  LEVIN_RETURN_IF_ERROR(checkSequences());
  LEVIN_RETURN_IF_ERROR(checkRows());
  return checkPages();
}

/// The binding that tensor number `place` means; LV2007 if there is none.
Result<const Binding *> findBinding(const artifact::Entry &entry,
                                    const std::vector<Binding> &bindings, std::string_view kind,
                                    const CallTensor &tensor, size_t place) {
  if (tensor.name.empty() && place < bindings.size())
    return &bindings[place];
  std::vector<std::string> names;
  std::string all;
  for (const Binding &binding : bindings) {
    if (!tensor.name.empty() && binding.name == tensor.name)
      return &binding;
    names.push_back(binding.name);
    all += (all.empty() ? "" : ", ") + binding.name;
  }
  Status status = tensor.name.empty()
                      ? makeError(ErrorCode::UnknownEntry, "entry '{}' has no {} number {}",
                                  entry.name, kind, place)
                      : makeError(ErrorCode::UnknownEntry, "entry '{}' has no {} '{}'", entry.name,
                                  kind, tensor.name.substr(0, 128));
  status.note("have", all.empty() ? "none" : all);
  if (auto hint = didYouMean(tensor.name, names))
    status.note("fix", *hint);
  return status;
}

Status checkType(const artifact::Entry &entry, const Binding &binding, const CallTensor &tensor) {
  if (tensor.type != binding.type)
    return makeError(ErrorCode::InputFile, "'{}' of entry '{}' has another type", binding.name,
                     entry.name)
        .note("have", textOf(tensor.type))
        .note("need", textOf(binding.type));
  if (tensor.bytes.size() != byteSize(binding.type))
    return makeError(ErrorCode::InputFile, "'{}' of entry '{}' has another length", binding.name,
                     entry.name)
        .note("have", fmt::format("{} bytes", tensor.bytes.size()))
        .note("need", fmt::format("{} bytes for {}", byteSize(binding.type), textOf(binding.type)));
  return {};
}

/// For each binding the tensor given for it, or nothing.
using Assigned = std::vector<const CallTensor *>;

Result<Assigned> assign(const artifact::Entry &entry, const std::vector<Binding> &bindings,
                        std::string_view kind, std::span<const CallTensor> tensors) {
  Assigned assigned(bindings.size(), nullptr);
  for (size_t i = 0; i < tensors.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(const Binding *binding,
                           findBinding(entry, bindings, kind, tensors[i], i));
    LEVIN_RETURN_IF_ERROR(checkType(entry, *binding, tensors[i]));
    size_t place = static_cast<size_t>(binding - bindings.data());
    if (assigned[place])
      return makeError(ErrorCode::UnknownEntry, "{} '{}' of entry '{}' is given twice", kind,
                       binding->name, entry.name);
    assigned[place] = &tensors[i];
  }
  return assigned;
}

} // namespace

Status Session::call(std::string_view name, std::span<const CallTensor> inputs,
                     std::span<const CallTensor> outputs) {
  const artifact::Manifest &manifest = loaded->manifest();
  LEVIN_ASSIGN_OR_RETURN(size_t index, loaded->findEntry(name));
  const artifact::Entry &entry = manifest.entries[index];
  LEVIN_ASSIGN_OR_RETURN(Assigned given, assign(entry, entry.inputs, "input", inputs));
  LEVIN_ASSIGN_OR_RETURN(Assigned wanted, assign(entry, entry.outputs, "output", outputs));
  RoleChecker roles(entry, manifest.model, pages.size());
  for (size_t i = 0; i < given.size(); ++i) {
    if (!given[i])
      return makeError(ErrorCode::UnknownEntry, "input '{}' of entry '{}' is not given",
                       entry.inputs[i].name, entry.name)
          .note("need", textOf(entry.inputs[i].type));
    roles.add(entry.inputs[i], given[i]->bytes);
  }
  LEVIN_RETURN_IF_ERROR(roles.check());

  LEVIN_RETURN_IF_ERROR(backend->begin(entry.program));
  for (size_t i = 0; i < given.size(); ++i)
    std::ranges::copy(given[i]->bytes, backend->input(entry.program, entry.inputs[i]).begin());
  LEVIN_RETURN_IF_ERROR(runProgram(entry.program, {}));
  for (size_t i = 0; i < wanted.size(); ++i) {
    std::span<std::byte> rest = wanted[i] ? wanted[i]->bytes : std::span<std::byte>();
    while (!rest.empty()) {
      LEVIN_ASSIGN_OR_RETURN(std::span<const std::byte> part,
                             backend->read(entry.program, entry.outputs[i],
                                           wanted[i]->bytes.size() - rest.size(), rest.size()));
      std::ranges::copy(part, rest.begin());
      rest = rest.subspan(part.size());
    }
  }
  return {};
}

} // namespace levin
