// levin-run compare: two artifacts of one model, on the same random inputs.
#include "runtime/base/File.h"
#include "runtime/base/Json.h"
#include "runtime/session/Session.h"
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"
#include "tools/levin-run/Difference.h"
#include "tools/levin-run/RandomInputs.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>

namespace levin::run {

using artifact::Binding;
using artifact::Entry;
using artifact::Role;

namespace {

/// Two artifacts and how far they may be apart.
struct Case {
  std::string name, first, second;
  double tolerance = 0;
  int64_t paddingId = 0;
};

struct Options {
  std::string first, second, cases;
  std::vector<std::string> weights, only;
  uint64_t threads = 0, rounds = 3, integers = 4;
  double tolerance = 2e-5, largest = 20;
  int64_t paddingId = 0;
  std::optional<uint64_t> seed;
  bool trustWeights = false;
};

using Bytes = std::vector<std::byte>;

/// One call of an entry: inputs of both artifacts by name, and how many rows of logits count.
struct Call {
  std::map<std::string, Bytes> inputs;
  std::map<Role, Bytes> roles;
  uint64_t validRows = 0;
};

/// The results of a call, in the order of the entry's outputs.
using Answers = std::vector<Bytes>;

class Comparer {
public:
  Comparer(const Options &options, const tool::GeneralOptions &general)
      : options(options), general(general) {}
  Status run();

private:
  struct Side {
    std::shared_ptr<const Model> model;
    std::unique_ptr<Session> session;
  };
  Result<std::vector<Case>> readCases() const;
  Status compare(const Case &one);
  Result<Side> open(const std::string &path) const;
  Status openSession(Side &side) const;
  Status checkAlike(const Entry &a, const Entry &b) const;
  std::vector<Call> makeCalls(const Case &one, const Entry &entry, const artifact::Model &model,
                              std::mt19937_64 &generator) const;
  Result<std::vector<Answers>> answers(const Side &side, const Entry &entry,
                                       const std::vector<Call> &calls, uint64_t pageSeed) const;
  void report(const std::string &name, bool fine, const std::string &detail, Json numbers);
  void judge(const Case &one, const Entry &entry, const std::vector<Call> &calls,
             const std::vector<Answers> &first, const std::vector<Answers> &second,
             const std::vector<Answers> &again);

  const Options &options;
  const tool::GeneralOptions &general;
  uint64_t seed = 0;
  tool::Output output;
  Json lines = Json::array();
  size_t passed = 0, failed = 0;
  std::string firstFailure;
};

} // namespace

// --- Inputs --------------------------------------------------------------------------------------

static Bytes bytesOf(const std::vector<int32_t> &values) {
  Bytes bytes(values.size() * sizeof(int32_t));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// Tokens that every slot can hold whatever the others hold.
static uint64_t usableContext(const artifact::Manifest &manifest, const Entry &entry) {
  uint64_t context = manifest.model.maxContext;
  for (const Binding &binding : entry.inputs) {
    if (binding.role != Role::Pages)
      continue;
    for (const Binding &state : entry.state) // [pages, heads, tokens, size]
      if (state.type.shape.size() == 4 && manifest.model.slots > 0 && state.name.ends_with("keys"))
        context =
            std::min(context, state.type.shape[0] / manifest.model.slots * state.type.shape[2]);
  }
  return context;
}

std::vector<Call> Comparer::makeCalls(const Case &one, const Entry &entry,
                                      const artifact::Model &model,
                                      std::mt19937_64 &generator) const {
  std::vector<Call> calls;
  if (!entry.tokens || !entry.sequences || !entry.rows) {
    for (uint64_t i = 0; i < std::max<uint64_t>(options.rounds, 1); ++i) {
      Call &call = calls.emplace_back();
      for (const Binding &binding : entry.inputs) {
        Bytes &bytes = call.inputs[binding.name];
        bytes.resize(byteSize(binding.type));
        fillRandom(binding.type, binding.name.starts_with("w"), options.integers, generator, bytes);
      }
    }
    return calls;
  }
  uint64_t vocabulary = model.vocabulary;
  if (one.paddingId > 0) // so that padding differs from every real token
    vocabulary = std::min(vocabulary, static_cast<uint64_t>(one.paddingId));
  BatchMaker maker(*entry.tokens, *entry.sequences, *entry.rows, model.slots, model.maxContext,
                   vocabulary, static_cast<int32_t>(one.paddingId));
  for (const StepBatch &batch : maker.make(options.rounds, generator)) {
    Call &call = calls.emplace_back();
    call.roles[Role::Ids] = bytesOf(batch.ids);
    call.roles[Role::Starts] = bytesOf(batch.starts);
    call.roles[Role::Slots] = bytesOf(batch.slots);
    call.roles[Role::Past] = bytesOf(batch.past);
    call.roles[Role::Rows] = bytesOf(batch.rows);
    call.validRows = batch.validRows;
  }
  return calls;
}

/// A page for every block of every sequence: those of a slot are the same in every call, in random
/// order, so that neighbours in a sequence are none in memory.
static Bytes makePages(const artifact::Manifest &manifest, const Entry &entry,
                       const Binding &binding, const Call &call, uint64_t seed) {
  uint64_t pool = 1, slots = std::max<uint64_t>(manifest.model.slots, 1);
  for (const Binding &state : entry.state)
    if (state.name.ends_with("keys"))
      pool = state.type.shape[0];
  std::vector<int32_t> order(pool);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 generator(seed);
  std::ranges::shuffle(order, generator);
  uint64_t each = std::max<uint64_t>(pool / slots, 1), blocks = binding.type.shape[1];
  std::vector<int32_t> table;
  const Bytes &slotIds = call.roles.at(Role::Slots);
  for (uint64_t s = 0; s < binding.type.shape[0]; ++s) {
    int32_t slot = 0;
    std::memcpy(&slot, slotIds.data() + s * sizeof(slot), sizeof(slot));
    for (uint64_t block = 0; block < blocks; ++block)
      table.push_back(
          order[std::min<uint64_t>(static_cast<uint64_t>(slot) * each + block % each, pool - 1)]);
  }
  return bytesOf(table);
}

// --- Running -------------------------------------------------------------------------------------

Result<Comparer::Side> Comparer::open(const std::string &path) const {
  ModelOptions modelOptions;
  modelOptions.weightFolders = options.weights;
  modelOptions.threads = static_cast<unsigned>(options.threads);
  modelOptions.verifyDigests = !options.trustWeights;
  Side side;
  LEVIN_ASSIGN_OR_RETURN(side.model, Model::load(path, modelOptions));
  LEVIN_RETURN_IF_ERROR(openSession(side));
  return side;
}

Status Comparer::openSession(Side &side) const {
  SessionOptions sessionOptions;
  sessionOptions.threads = static_cast<unsigned>(options.threads);
  sessionOptions.validate = true;
  side.session.reset();
  LEVIN_ASSIGN_OR_RETURN(side.session, Session::create(side.model, sessionOptions));
  return {};
}

/// A failure if the entries cannot be compared: other arguments, results or extents.
Status Comparer::checkAlike(const Entry &a, const Entry &b) const {
  auto typeOf = [](const std::vector<Binding> &bindings, const Binding &wanted) {
    for (const Binding &binding : bindings)
      if (binding.role == wanted.role && (wanted.role != Role::None || binding.name == wanted.name))
        return textOf(binding.type);
    return std::string("nothing");
  };
  auto check = [&](const std::vector<Binding> &ones, const std::vector<Binding> &others) -> Status {
    for (const Binding &binding : ones)
      if (std::string other = typeOf(others, binding);
          binding.role != Role::Pages && other != textOf(binding.type))
        return makeError(ErrorCode::Argument, "entry '{}' is not the same in both artifacts",
                         a.name)
            .note("where", fmt::format("'{}'", binding.name))
            .note("have", fmt::format("{} and {}", textOf(binding.type), other))
            .note("fix", "compile both from one model with the same --buckets and --slots");
    return {};
  };
  LEVIN_RETURN_IF_ERROR(check(a.inputs, b.inputs));
  LEVIN_RETURN_IF_ERROR(check(b.inputs, a.inputs));
  return check(a.outputs, b.outputs);
}

Result<std::vector<Answers>> Comparer::answers(const Side &side, const Entry &entry,
                                               const std::vector<Call> &calls,
                                               uint64_t pageSeed) const {
  std::vector<Answers> all;
  for (const Call &call : calls) {
    std::vector<Bytes> given;
    for (const Binding &binding : entry.inputs)
      given.push_back(binding.role == Role::None ? call.inputs.at(binding.name)
                      : binding.role == Role::Pages
                          ? makePages(side.model->manifest(), entry, binding, call, pageSeed)
                          : call.roles.at(binding.role));
    Answers &answer = all.emplace_back();
    std::vector<CallTensor> inputs, outputs;
    for (size_t i = 0; i < given.size(); ++i)
      inputs.push_back({entry.inputs[i].name, entry.inputs[i].type, given[i]});
    for (const Binding &binding : entry.outputs)
      answer.emplace_back(byteSize(binding.type), std::byte{0xff});
    for (size_t i = 0; i < answer.size(); ++i)
      outputs.push_back({entry.outputs[i].name, entry.outputs[i].type, answer[i]});
    LEVIN_RETURN_IF_ERROR(side.session->call(entry.name, inputs, outputs));
    for (size_t i = 0; i < answer.size(); ++i) // rows that nobody asked for may hold anything
      if (entry.outputs[i].role == Role::Logits)
        answer[i].resize(answer[i].size() / entry.outputs[i].type.shape[0] * call.validRows);
  }
  return all;
}

// --- Judging -------------------------------------------------------------------------------------

void Comparer::report(const std::string &name, bool fine, const std::string &detail, Json numbers) {
  (fine ? passed : failed) += 1;
  if (!fine && firstFailure.empty())
    firstFailure = name + ": " + detail;
  numbers["name"] = name;
  numbers["ok"] = fine;
  lines.push_back(std::move(numbers));
  if (general.json)
    return;
  output.print("{}  {:<44} {}\n", fine ? "ok    " : "FAILED", name, detail);
  output.flush();
}

void Comparer::judge(const Case &one, const Entry &entry, const std::vector<Call> &calls,
                     const std::vector<Answers> &first, const std::vector<Answers> &second,
                     const std::vector<Answers> &again) {
  for (size_t o = 0; o < entry.outputs.size(); ++o) {
    Difference all;
    std::string worst; // the first call that is out of bounds
    bool repeats = true;
    for (size_t c = 0; c < calls.size(); ++c) {
      Difference difference;
      difference.add(entry.outputs[o].type.dtype, second[c][o], first[c][o]);
      all.add(entry.outputs[o].type.dtype, second[c][o], first[c][o]);
      repeats &= second[c][o] == again[c][o];
      if (worst.empty() && (!(difference.relative() <= one.tolerance) ||
                            !(difference.largest() <= one.tolerance * options.largest)))
        worst = fmt::format(" in call {} of {}: {:.2e}, {:.2e}", c, calls.size(),
                            difference.relative(), difference.largest());
    }
    std::string name = one.name.empty() ? entry.name : one.name + "/" + entry.name;
    if (entry.outputs.size() > 1)
      name += "." + entry.outputs[o].name;
    std::string detail = fmt::format("relative {:.2e}, largest {:.2e}, of {} values",
                                     all.relative(), all.largest(), all.count());
    if (!worst.empty())
      detail += fmt::format("; more than {:.1e}, {:.1e}", one.tolerance,
                            one.tolerance * options.largest) +
                worst;
    if (!repeats)
      detail += "; differs from itself when repeated";
    report(name, worst.empty() && repeats, detail,
           {{"relative", all.relative()},
            {"largest", all.largest()},
            {"values", all.count()},
            {"tolerance", one.tolerance},
            {"repeats", repeats}});
  }
}

Status Comparer::compare(const Case &one) {
  LEVIN_ASSIGN_OR_RETURN(Side first, open(one.first));
  LEVIN_ASSIGN_OR_RETURN(Side second, open(one.second));
  const artifact::Manifest &ours = first.model->manifest(), &theirs = second.model->manifest();
  artifact::Model limits = ours.model;
  limits.slots = std::min(ours.model.slots, theirs.model.slots);
  struct Work {
    const Entry *a, *b;
    std::vector<Call> calls;
    std::vector<Answers> first, second;
  };
  std::vector<Work> works;
  std::mt19937_64 generator(seed);
  for (const Entry &entry : ours.entries) {
    Result<size_t> index = second.model->findEntry(entry.name);
    if (!index.ok())
      return index.takeStatus();
    const Entry &other = theirs.entries[*index];
    LEVIN_RETURN_IF_ERROR(checkAlike(entry, other));
    limits.maxContext = std::min(usableContext(ours, entry), usableContext(theirs, other));
    works.push_back({&entry, &other, makeCalls(one, entry, limits, generator), {}, {}});
    Work &work = works.back();
    LEVIN_ASSIGN_OR_RETURN(work.first, answers(first, entry, work.calls, seed));
    LEVIN_ASSIGN_OR_RETURN(work.second, answers(second, other, work.calls, seed));
  }
  first.session.reset();
  LEVIN_RETURN_IF_ERROR(openSession(second));
  for (const Work &work : works) {
    LEVIN_ASSIGN_OR_RETURN(auto again, answers(second, *work.b, work.calls, seed));
    judge(one, *work.a, work.calls, work.first, work.second, again);
  }
  return {};
}

/// The lines "NAME FIRST SECOND TOLERANCE [PADDING_ID]" of the file of cases; paths are relative to
/// its folder.
Result<std::vector<Case>> Comparer::readCases() const {
  if (options.cases.empty())
    return std::vector<Case>{
        {"", options.first, options.second, options.tolerance, options.paddingId}};
  LEVIN_ASSIGN_OR_RETURN(std::string text, readFile(options.cases));
  size_t slash = options.cases.rfind('/');
  std::string folder = slash == std::string::npos ? "" : options.cases.substr(0, slash + 1);
  std::vector<Case> cases;
  size_t number = 0;
  for (size_t at = 0; at < text.size(); ++number) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    std::vector<std::string> words;
    while (!line.empty() && line[0] != '#') {
      size_t space = std::min(line.find(' '), line.size());
      if (space > 0)
        words.emplace_back(line.substr(0, space));
      line.remove_prefix(std::min(space + 1, line.size()));
    }
    if (words.empty())
      continue;
    auto numberOf = [](const std::string &word, auto &value) {
      auto [next, error] = std::from_chars(word.data(), word.data() + word.size(), value);
      return error == std::errc() && next == word.data() + word.size();
    };
    Case one;
    if (words.size() < 4 || words.size() > 5 || !numberOf(words[3], one.tolerance) ||
        (words.size() == 5 && !numberOf(words[4], one.paddingId)))
      return makeError(ErrorCode::InputFile, "'{}' has a line that cannot be read", options.cases)
          .note("where", fmt::format("line {}", number + 1))
          .note("need", "NAME FIRST.lvn SECOND.lvn TOLERANCE [PADDING_ID]");
    one.name = words[0];
    one.first = words[1].starts_with('/') ? words[1] : folder + words[1];
    one.second = words[2].starts_with('/') ? words[2] : folder + words[2];
    if (options.only.empty() || std::ranges::any_of(options.only, [&](const std::string &part) {
          return one.name.find(part) != std::string::npos;
        }))
      cases.push_back(std::move(one));
  }
  if (cases.empty())
    return makeError(ErrorCode::InputFile, "'{}' holds no case that is asked for", options.cases);
  return cases;
}

Status Comparer::run() {
  if (options.cases.empty() == (options.first.empty() || options.second.empty()))
    return makeError(ErrorCode::Usage, "two artifacts are needed, or --cases")
        .note("need", "levin-run compare A.lvn B.lvn, or levin-run compare --cases FILE");
  seed = options.seed ? *options.seed : std::random_device()();
  LEVIN_ASSIGN_OR_RETURN(std::vector<Case> cases, readCases());
  if (!general.json)
    output.print("seed {}\n", seed);
  bool gpuLost = false;
  for (const Case &one : cases) {
    if (gpuLost) {
      report(one.name, false, "not run: the GPU failed before", Json::object());
      continue;
    }
    Status status = compare(one);
    if (status.ok())
      continue;
    if (options.cases.empty())
      return status;
    report(one.name, false, status.text(), Json::object());
    ErrorCode code = status.code(); // after these, nothing can run on the GPU in this process
    gpuLost |= code == ErrorCode::KernelFault || code == ErrorCode::GpuLost ||
               code == ErrorCode::GpuTimeout;
  }
  if (general.json)
    output.write(
        Json{{"seed", seed}, {"passed", passed}, {"failed", failed}, {"checks", lines}}.dump(
            1, ' ', false, Json::error_handler_t::replace) +
        "\n");
  else
    output.print("{} passed, {} failed\n", passed, failed);
  LEVIN_RETURN_IF_ERROR(output.finish());
  if (failed > 0)
    return makeError(ErrorCode::ResultDiffers, "{} of {} results differ", failed, passed + failed)
        .note("where", firstFailure.substr(0, 600))
        .note("fix", fmt::format("look at it again with --seed {}", seed));
  return {};
}

void addCompare(tool::CommandLine &line) {
  auto options = std::make_shared<Options>();
  tool::Command &command =
      line.subcommand("compare", "runs two artifacts of one model on the same random inputs");
  command.positional("A", &options->first, "the artifact that is right")
      .positional("B", &options->second, "the artifact that is compared with it");
  command.group("Model")
      .option("--weights", &options->weights,
              "folder of the weight files; default: that of the artifact", {.value = "DIR"})
      .option("--threads", &options->threads, "threads to compute with; 0: all cores",
              {.value = "N", .max = 1024})
      .option("--trust-weights", &options->trustWeights,
              "do not compare the digests of the weight files");
  command.group("Compare")
      .option("--cases", &options->cases,
              "many pairs: lines NAME A B TOLERANCE [PADDING_ID], paths relative to the file",
              {.value = "FILE"})
      .option("--only", &options->only, "cases whose name contains this; repeated",
              {.value = "TEXT"})
      .option("--tolerance", &options->tolerance, "of |b - a| / |a|, root of the sums of squares",
              {.value = "X", .min = 0})
      .option("--largest", &options->largest,
              "the largest |b - a| may be so many times the tolerance of the largest |a|",
              {.value = "X", .min = 1})
      .option("--rounds", &options->rounds, "random batches for each entry",
              {.value = "N", .max = 1e6})
      .option("--integers", &options->integers, "integer inputs of plain entries are below N",
              {.value = "N", .min = 1})
      .option("--seed", &options->seed, "of the inputs; default: a new one, printed",
              {.value = "N"});
  command.action([options, &line] { return Comparer(*options, line.general()).run(); });
}

} // namespace levin::run
