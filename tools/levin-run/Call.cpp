// levin-run call and check: entries that are plain functions.
#include "runtime/base/DidYouMean.h"
#include "runtime/base/Json.h"
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"
#include "tools/levin-run/Options.h"
#include "tools/levin-run/Tensors.h"

#include <cmath>

namespace levin::run {

namespace {

/// An entry and its arguments and results.
struct Entry {
  levin_entry_info info;
  std::vector<levin_binding_info> inputs, outputs;

  static Result<Entry> read(const Model &model, size_t index);
};

struct CallOptions {
  ModelOptions model;
  std::string entry;
  std::vector<std::string> inputs, outputs;
};

} // namespace

static Result<std::vector<levin_binding_info>> readBindings(const Model &model, size_t entry,
                                                            levin_binding_kind kind, size_t count) {
  std::vector<levin_binding_info> bindings(count, LEVIN_INIT(levin_binding_info));
  for (size_t i = 0; i < count; ++i)
    LEVIN_RETURN_IF_ERROR(call(levin_binding_get_info, model.get(), entry, kind, i, &bindings[i]));
  return bindings;
}

Result<Entry> Entry::read(const Model &model, size_t index) {
  Entry entry{LEVIN_INIT(levin_entry_info), {}, {}};
  LEVIN_RETURN_IF_ERROR(call(levin_entry_get_info, model.get(), index, &entry.info));
  LEVIN_ASSIGN_OR_RETURN(entry.inputs,
                         readBindings(model, index, LEVIN_INPUT, entry.info.input_count));
  LEVIN_ASSIGN_OR_RETURN(entry.outputs,
                         readBindings(model, index, LEVIN_OUTPUT, entry.info.output_count));
  return entry;
}

static std::string bindingsText(std::span<const levin_binding_info> bindings) {
  std::string text;
  for (const levin_binding_info &binding : bindings)
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", binding.name,
                        typeText(binding.dtype, std::span(binding.shape, binding.rank)));
  return text;
}

static Status listEntries(const Model &model, bool json) {
  tool::Output output;
  Json list = Json::array();
  for (size_t i = 0; i < model.info().entry_count; ++i) {
    LEVIN_ASSIGN_OR_RETURN(Entry entry, Entry::read(model, i));
    std::string inputs = bindingsText(entry.inputs), outputs = bindingsText(entry.outputs);
    list.push_back({{"name", entry.info.name},
                    {"step", entry.info.is_step != 0},
                    {"inputs", inputs},
                    {"outputs", outputs}});
    if (!json)
      output.print("{}({}) -> ({}){}\n", entry.info.name, inputs, outputs,
                   entry.info.is_step ? "  [step]" : "");
  }
  if (json)
    output.write(list.dump(1) + "\n");
  return output.finish();
}

/// "x=@x.npy" as "x" and "@x.npy".
static Result<std::pair<std::string, std::string>> splitOption(const std::string &text) {
  size_t equals = text.find('=');
  if (equals == text.npos || equals == 0)
    return makeError(ErrorCode::OptionValue, "'{}' names no input or output", text)
        .note("need", "NAME=VALUE");
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

static Status unknownName(std::string_view kind, const std::string &name,
                          std::span<const levin_binding_info> bindings) {
  std::vector<std::string> names;
  for (const levin_binding_info &binding : bindings)
    names.emplace_back(binding.name);
  Status status = makeError(ErrorCode::UnknownEntry, "the entry has no {} '{}'", kind, name)
                      .note("have", fmt::format("{}", fmt::join(names, ", ")));
  if (auto hint = didYouMean(name, names))
    status.note("fix", *hint);
  return status;
}

static Result<const levin_binding_info *>
findBinding(std::string_view kind, const std::string &name,
            std::span<const levin_binding_info> bindings) {
  for (const levin_binding_info &binding : bindings)
    if (name == binding.name)
      return &binding;
  return unknownName(kind, name, bindings);
}

static levin_tensor describe(const char *name, Tensor &tensor) {
  return {name,
          tensor.dtype,
          tensor.shape.size(),
          tensor.shape.data(),
          tensor.data.data(),
          tensor.data.size()};
}

/// Runs an entry and gives all its results.
static Result<std::vector<Tensor>> runEntry(const Session &session, const Entry &entry,
                                            std::vector<std::pair<std::string, Tensor>> &inputs) {
  std::vector<levin_tensor> given, wanted;
  for (auto &[name, tensor] : inputs)
    given.push_back(describe(name.c_str(), tensor));
  std::vector<Tensor> results;
  for (const levin_binding_info &output : entry.outputs) {
    Tensor &tensor = results.emplace_back();
    tensor.dtype = output.dtype;
    tensor.shape.assign(output.shape, output.shape + output.rank);
    tensor.data.resize(output.bytes);
  }
  for (size_t i = 0; i < results.size(); ++i)
    wanted.push_back(describe(entry.outputs[i].name, results[i]));
  LEVIN_RETURN_IF_ERROR(call(levin_call, session.get(), entry.info.name, given.data(), given.size(),
                             wanted.data(), wanted.size()));
  return results;
}

static Json tensorJson(const Tensor &tensor) {
  Json values = Json::array();
  for (uint64_t i = 0; i < tensor.elements(); ++i)
    values.push_back(tensor.at(i));
  return {{"dtype", levin_dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"values", values}};
}

static Status callEntry(const CallOptions &options, const tool::GeneralOptions &general) {
  if (options.entry.empty()) {
    LEVIN_ASSIGN_OR_RETURN(Model model, options.model.inspect());
    return listEntries(model, general.json);
  }
  LEVIN_ASSIGN_OR_RETURN(Model model, options.model.load(general));
  size_t index = 0;
  LEVIN_RETURN_IF_ERROR(call(levin_entry_find, model.get(), options.entry.c_str(), &index));
  LEVIN_ASSIGN_OR_RETURN(Entry entry, Entry::read(model, index));
  std::vector<std::pair<std::string, Tensor>> inputs;
  for (const std::string &text : options.inputs) {
    LEVIN_ASSIGN_OR_RETURN(auto option, splitOption(text));
    LEVIN_ASSIGN_OR_RETURN(const levin_binding_info *binding,
                           findBinding("input", option.first, entry.inputs));
    LEVIN_ASSIGN_OR_RETURN(Tensor tensor, readTensor(option.second, *binding));
    inputs.emplace_back(option.first, std::move(tensor));
  }
  std::vector<std::pair<size_t, std::string>> targets; // output and where it goes
  for (const std::string &text : options.outputs) {
    LEVIN_ASSIGN_OR_RETURN(auto option, splitOption(text));
    LEVIN_ASSIGN_OR_RETURN(const levin_binding_info *binding,
                           findBinding("output", option.first, entry.outputs));
    if (option.second != "print" && !option.second.starts_with('@'))
      return makeError(ErrorCode::OptionValue, "'{}' is no place for an output", option.second)
          .note("need", "print or @FILE.npy or @FILE.safetensors");
    targets.emplace_back(static_cast<size_t>(binding - entry.outputs.data()), option.second);
  }
  if (options.outputs.empty())
    for (size_t i = 0; i < entry.outputs.size(); ++i)
      targets.emplace_back(i, "print");
  LEVIN_ASSIGN_OR_RETURN(Session session, options.model.start(model));
  LEVIN_ASSIGN_OR_RETURN(std::vector<Tensor> results, runEntry(session, entry, inputs));
  tool::Output output;
  Json printed = Json::object();
  for (const auto &[place, where] : targets) {
    std::string name = entry.outputs[place].name;
    if (where != "print")
      LEVIN_RETURN_IF_ERROR(writeTensor(where.substr(1), name, results[place]));
    else if (general.json)
      printed[name] = tensorJson(results[place]);
    else
      output.write(tensorText(name, results[place]));
  }
  if (general.json)
    output.write(printed.dump() + "\n");
  return output.finish();
}

void addCall(tool::CommandLine &line) {
  auto options = std::make_shared<CallOptions>();
  tool::Command &command = line.subcommand("call", "runs one entry; lists them without --entry");
  options->model.add(command);
  command.group("Call")
      .option("--entry", &options->entry, "which entry", {.value = "NAME"})
      .option("--input", &options->inputs,
              "a value: x=1,2,3 or x=@x.npy or x=@f.safetensors:tensor", {.value = "NAME=VALUE"})
      .option("--output", &options->outputs,
              "where a result goes: y=print or y=@y.npy or y=@y.safetensors; default: print all",
              {.value = "NAME=WHERE"});
  command.action([options, &line] { return callEntry(*options, line.general()); });
}

// --- check ---------------------------------------------------------------------------------------

static Status checkEntries(const ModelOptions &options, const tool::GeneralOptions &general) {
  LEVIN_ASSIGN_OR_RETURN(Model model, options.load(general));
  LEVIN_ASSIGN_OR_RETURN(Session session, options.start(model));
  tool::Output output;
  std::string firstFailure;
  size_t passed = 0, failed = 0;
  for (size_t i = 0; i < model.info().entry_count; ++i) {
    LEVIN_ASSIGN_OR_RETURN(Entry entry, Entry::read(model, i));
    bool checks = false;
    for (const levin_binding_info &result : entry.outputs)
      checks |= std::string_view(result.name).starts_with("violations");
    if (!checks || !entry.inputs.empty())
      continue;
    std::vector<std::pair<std::string, Tensor>> none;
    LEVIN_ASSIGN_OR_RETURN(std::vector<Tensor> results, runEntry(session, entry, none));
    for (size_t r = 0; r < results.size(); ++r) {
      std::string name = entry.outputs[r].name;
      if (!name.starts_with("violations"))
        continue;
      double violations = 0;
      for (uint64_t e = 0; e < results[r].elements(); ++e)
        violations += std::abs(results[r].at(e));
      bool fine = violations == 0;
      (fine ? passed : failed) += 1;
      if (!general.json)
        output.print("{}  {} {}{}\n", fine ? "ok    " : "FAILED", entry.info.name, name,
                     fine ? "" : fmt::format(": {:g} elements", violations));
      if (!fine && firstFailure.empty())
        firstFailure = fmt::format("{} of entry {}", name, entry.info.name);
    }
  }
  if (general.json)
    output.write(Json{{"passed", passed}, {"failed", failed}}.dump() + "\n");
  else
    output.print("{} passed, {} failed\n", passed, failed);
  LEVIN_RETURN_IF_ERROR(output.finish());
  if (passed + failed == 0)
    return makeError(ErrorCode::NotInArtifact, "the artifact holds no checks")
        .note("need", "entries without inputs, with outputs named violations..");
  if (failed > 0)
    return makeError(ErrorCode::ResultDiffers, "{} of {} expectations were not met", failed,
                     passed + failed)
        .note("where", firstFailure);
  return {};
}

void addCheck(tool::CommandLine &line) {
  auto options = std::make_shared<ModelOptions>();
  tool::Command &command =
      line.subcommand("check", "runs the expectations that an artifact holds of itself");
  options->add(command);
  command.action([options, &line] { return checkEntries(*options, line.general()); });
}

} // namespace levin::run
