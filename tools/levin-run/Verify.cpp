// levin-run verify: compares a model with the golden data in its artifact.
#include "runtime/base/Json.h"
#include "runtime/weights/Safetensors.h"
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"
#include "tools/levin-run/Language.h"
#include "tools/levin-run/Losses.h"

#include <cstring>
#include <map>

namespace levin::run {

namespace {

struct Options {
  ModelOptions model;
  double tolerance = 2e-5, lossTolerance = 1e-4, meanTolerance = 1e-5;
};

/// The tensors of a golden file, as numbers.
using Numbers = std::map<std::string, std::vector<double>>;

class Verifier {
public:
  Verifier(const Options &options, const tool::GeneralOptions &general)
      : options(options), general(general) {}
  Status run();

private:
  Status verifyJson(std::string_view source);
  Status verifyPrompt(const JsonValue &prompt, size_t number);
  Status verifyMeans(const JsonValue &heldout);
  Status verifyTensors(const std::string &name, std::string_view content);
  Status verifyLogits(const std::string &length, const Numbers &numbers);
  Status verifyLosses(const Numbers &numbers);
  Result<std::vector<int32_t>> greedy(std::span<const int32_t> prompt, size_t count);
  Result<std::vector<float>> logitsOf(std::span<const int32_t> ids, size_t rows);

  void check(const std::string &name, bool fine, const std::string &detail);
  void checkError(const std::string &name, double error, double tolerance);

  const Options &options;
  const tool::GeneralOptions &general;
  std::optional<Model> model;
  std::optional<Session> session;
  std::optional<Language> language;
  std::vector<float> losses; // of golden_nll.safetensors
  tool::Output output;
  Json checks = Json::array();
  size_t passed = 0, failed = 0;
  std::string firstFailure;
};

} // namespace

void Verifier::check(const std::string &name, bool fine, const std::string &detail) {
  (fine ? passed : failed) += 1;
  if (!fine && firstFailure.empty())
    firstFailure = name + ": " + detail;
  checks.push_back({{"name", name}, {"ok", fine}, {"detail", detail}});
  if (general.json)
    return;
  output.print("{}  {:<28} {}\n", fine ? "ok    " : "FAILED", name, detail);
  output.flush();
}

void Verifier::checkError(const std::string &name, double error, double tolerance) {
  check(name, error <= tolerance, fmt::format("error {:.2e}, at most {:.2e}", error, tolerance));
}

// --- What the model says -------------------------------------------------------------------------

/// Logits [rows, vocabulary] of the last `rows` tokens of `ids`.
Result<std::vector<float>> Verifier::logitsOf(std::span<const int32_t> ids, size_t rows) {
  uint64_t vocabulary = model->info().vocabulary;
  std::vector<float> logits(rows * vocabulary);
  size_t first = ids.size() - rows;
  auto onRow = [&](size_t, size_t position, const float *row) {
    if (position >= first)
      std::copy_n(row, vocabulary, logits.data() + (position - first) * vocabulary);
  };
  LEVIN_RETURN_IF_ERROR(feedAll(*session, *model, std::span(&ids, 1), {},
                                rows == 1 ? LEVIN_LOGITS_LAST : LEVIN_LOGITS_ALL, onRow));
  return logits;
}

Result<std::vector<int32_t>> Verifier::greedy(std::span<const int32_t> prompt, size_t count) {
  std::vector<int32_t> ids;
  if (count == 0)
    return ids;
  levin_request request = LEVIN_INIT(levin_request);
  request.prompt = prompt.data();
  request.prompt_count = prompt.size();
  request.max_tokens = count;
  request.ignore_end_tokens = 1;
  request.user = &ids;
  request.on_token = [](void *user, uint64_t, const levin_choice *choice) {
    static_cast<std::vector<int32_t> *>(user)->push_back(choice->token);
    return 0;
  };
  LEVIN_RETURN_IF_ERROR(call(levin_generate, session->get(), &request));
  return ids;
}

static std::string firstDifference(std::span<const int32_t> got, std::span<const int32_t> want) {
  for (size_t i = 0; i < want.size(); ++i)
    if (i >= got.size() || got[i] != want[i])
      return fmt::format("token {} is {}, stored is {}", i,
                         i < got.size() ? std::to_string(got[i]) : "absent", want[i]);
  return got.size() == want.size() ? fmt::format("{} tokens", want.size()) : "there are too many";
}

/// The largest |got - want|, infinite if any is no number.
static double largestError(std::span<const float> got, std::span<const double> want) {
  double worst = got.size() == want.size() ? 0 : INFINITY;
  for (size_t i = 0; i < want.size() && i < got.size(); ++i) {
    double error = std::abs(static_cast<double>(got[i]) - want[i]);
    if (static_cast<double>(got[i]) != want[i])
      worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

/// Tolerances of logits are relative to the largest stored one, if that exceeds 1.
static double scaleOf(std::span<const double> want) {
  double largest = 1;
  for (double value : want)
    if (std::isfinite(value))
      largest = std::max(largest, std::abs(value));
  return largest;
}

// --- golden.json ---------------------------------------------------------------------------------

static Result<std::vector<int32_t>> idsOf(const JsonValue &object, std::string_view key) {
  std::vector<int32_t> ids;
  auto list = object.find(key);
  for (size_t i = 0; list && i < list->size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue value, list->at(i));
    LEVIN_ASSIGN_OR_RETURN(int64_t id, value.asInt());
    if (id < 0 || id > INT32_MAX)
      return value.error("is the id of no token");
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

Status Verifier::verifyPrompt(const JsonValue &prompt, size_t number) {
  std::string name = fmt::format("prompt {}", number);
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, idsOf(prompt, "ids"));
  if (ids.empty())
    return prompt.error("has no ids");
  LEVIN_ASSIGN_OR_RETURN(std::string text, prompt.getString("prompt", ""));
  if (language && !text.empty()) {
    LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> got, language->prompt(text, true));
    check(name + " ids", got == ids, firstDifference(got, ids));
  }
  LEVIN_ASSIGN_OR_RETURN(std::vector<float> logits, logitsOf(ids, 1));
  std::vector<double> head;
  if (auto stored = prompt.find("last_logits_head"))
    for (size_t i = 0; i < stored->size(); ++i) {
      LEVIN_ASSIGN_OR_RETURN(JsonValue value, stored->at(i));
      LEVIN_ASSIGN_OR_RETURN(head.emplace_back(), value.asDouble());
    }
  if (!head.empty() && head.size() <= logits.size())
    checkError(name + " logits", largestError(std::span(logits).first(head.size()), head),
               options.tolerance * scaleOf(head));
  if (auto stored = prompt.find("argmax")) {
    LEVIN_ASSIGN_OR_RETURN(int64_t want, stored->asInt());
    auto got = std::max_element(logits.begin(), logits.end()) - logits.begin();
    check(name + " argmax", got == want, fmt::format("{}, stored is {}", got, want));
  }
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> want, idsOf(prompt, "greedy"));
  if (want.empty())
    return {};
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> got, greedy(ids, want.size()));
  check(name + " greedy", got == want, firstDifference(got, want));
  LEVIN_ASSIGN_OR_RETURN(std::string stored, prompt.getString("text", ""));
  if (language && !stored.empty())
    check(name + " text", language->tokenizer().decode(got) == stored,
          fmt::format("{} bytes stored", stored.size()));
  return {};
}

/// Means over parts of the text whose losses golden_nll.safetensors holds.
Status Verifier::verifyMeans(const JsonValue &heldout) {
  struct Part {
    const char *key;
    size_t first, last; // how many of either end; 0: all
  };
  for (auto [key, first, last] : {Part{"mean_nll", 0, 0}, Part{"mean_nll_first512", 512, 0},
                                  Part{"mean_nll_last1024", 0, 1024}}) {
    auto stored = heldout.find(key);
    if (!stored || losses.size() < std::max<size_t>({first, last, 1}))
      continue;
    LEVIN_ASSIGN_OR_RETURN(double want, stored->asDouble());
    std::span<const float> part(losses);
    if (first)
      part = part.first(first);
    if (last)
      part = part.last(last);
    checkError(key, std::abs(mean(part) - want), options.meanTolerance);
  }
  return {};
}

Status Verifier::verifyJson(std::string_view source) {
  LEVIN_ASSIGN_OR_RETURN(Json document, parseJson(source, "golden.json", ErrorCode::InputFile));
  JsonValue golden(document, "golden.json", ErrorCode::InputFile);
  if (auto prompts = golden.find("prompts"))
    for (size_t i = 0; i < prompts->size(); ++i) {
      LEVIN_ASSIGN_OR_RETURN(JsonValue prompt, prompts->at(i));
      LEVIN_RETURN_IF_ERROR(verifyPrompt(prompt, i));
    }
  if (auto heldout = golden.find("heldout"))
    LEVIN_RETURN_IF_ERROR(verifyMeans(*heldout));
  return {};
}

// --- golden*.safetensors -------------------------------------------------------------------------

template <typename T> static void append(std::string_view bytes, std::vector<double> &out) {
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    out.push_back(static_cast<double>(value));
  }
}

static Result<Numbers> readNumbers(const std::string &name, std::string_view content) {
  LEVIN_ASSIGN_OR_RETURN(auto header,
                         weights::SafetensorsHeader::parse(content, content.size(), name));
  Numbers numbers;
  for (const weights::TensorInfo &tensor : header.tensors) {
    std::string_view bytes = content.substr(tensor.offset, tensor.bytes);
    std::vector<double> &values = numbers[tensor.name];
    if (tensor.dtype == weights::DType::F32)
      append<float>(bytes, values);
    else if (tensor.dtype == weights::DType::F64)
      append<double>(bytes, values);
    else if (tensor.dtype == weights::DType::I64)
      append<int64_t>(bytes, values);
    else if (tensor.dtype == weights::DType::I32)
      append<int32_t>(bytes, values);
  }
  return numbers;
}

static Result<std::vector<int32_t>> toIds(std::span<const double> values, const Model &model) {
  std::vector<int32_t> ids;
  for (double value : values) {
    if (!(value >= 0 && value < static_cast<double>(model.info().vocabulary)))
      return makeError(ErrorCode::TokenRange, "the golden data holds the token {}", value);
    ids.push_back(static_cast<int32_t>(value));
  }
  return ids;
}

/// ids_N, the logits of its last positions, and what follows greedily.
Status Verifier::verifyLogits(const std::string &length, const Numbers &numbers) {
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, toIds(numbers.at("ids_" + length), *model));
  if (ids.empty())
    return {};
  if (auto stored = numbers.find("logits_" + length); stored != numbers.end()) {
    size_t rows = stored->second.size() / model->info().vocabulary;
    if (rows == 0 || rows > ids.size() || rows * model->info().vocabulary != stored->second.size())
      return makeError(ErrorCode::InputFile, "the golden logits_{} do not fit the model", length);
    LEVIN_ASSIGN_OR_RETURN(std::vector<float> got, logitsOf(ids, rows));
    checkError("logits_" + length, largestError(got, stored->second),
               options.tolerance * scaleOf(stored->second));
  }
  if (auto stored = numbers.find("gen_" + length); stored != numbers.end()) {
    LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> want, toIds(stored->second, *model));
    LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> got, greedy(ids, want.size()));
    check("gen_" + length, got == want, firstDifference(got, want));
  }
  return {};
}

Status Verifier::verifyLosses(const Numbers &numbers) {
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, toIds(numbers.at("ids"), *model));
  const std::vector<double> &want = numbers.at("nll");
  if (ids.size() < 2 || want.size() + 1 != ids.size())
    return makeError(ErrorCode::InputFile, "the golden losses do not fit their ids");
  LEVIN_ASSIGN_OR_RETURN(losses, lossesOf(*session, *model, ids, {}));
  checkError("loss of each token", largestError(losses, want), options.lossTolerance);
  double sum = 0;
  for (double value : want)
    sum += value;
  checkError("mean loss", std::abs(mean(losses) - sum / static_cast<double>(want.size())),
             options.meanTolerance);
  return {};
}

Status Verifier::verifyTensors(const std::string &name, std::string_view content) {
  LEVIN_ASSIGN_OR_RETURN(Numbers numbers, readNumbers(name, content));
  if (numbers.count("ids") && numbers.count("nll"))
    return verifyLosses(numbers);
  for (const auto &[tensor, values] : numbers)
    if (tensor.starts_with("ids_"))
      LEVIN_RETURN_IF_ERROR(verifyLogits(tensor.substr(4), numbers));
  return {};
}

Status Verifier::run() {
  LEVIN_ASSIGN_OR_RETURN(model, options.model.load(general));
  LEVIN_ASSIGN_OR_RETURN(session, options.model.start(*model));
  language = languageIfAny(*model);
  // Losses come first: means of golden.json are about them.
  for (const std::string &name : model->assetNames())
    if (name.starts_with("golden") && name.ends_with(".safetensors"))
      LEVIN_RETURN_IF_ERROR(verifyTensors(name, *model->asset(name)));
  if (auto golden = model->asset("golden.json"))
    LEVIN_RETURN_IF_ERROR(verifyJson(*golden));
  if (general.json)
    output.write(Json{{"passed", passed}, {"failed", failed}, {"checks", checks}}.dump(1) + "\n");
  else
    output.print("{} passed, {} failed\n", passed, failed);
  LEVIN_RETURN_IF_ERROR(output.finish());
  if (passed + failed == 0)
    return makeError(ErrorCode::NotInArtifact, "the artifact holds no golden data")
        .note("need", "golden.json or golden*.safetensors in the model folder when compiling");
  if (failed > 0)
    return makeError(ErrorCode::ResultDiffers, "{} of {} results differ from the stored ones",
                     failed, passed + failed)
        .note("where", firstFailure)
        .note("fix", "16-bit models need wider bounds: --tolerance, --loss-tolerance");
  return {};
}

void addVerify(tool::CommandLine &line) {
  auto options = std::make_shared<Options>();
  tool::Command &command =
      line.subcommand("verify", "compares with the golden data in the artifact");
  options->model.add(command);
  command.group("Bounds")
      .option("--tolerance", &options->tolerance,
              "of logits, relative to the largest stored one (at least 1)",
              {.value = "X", .min = 0})
      .option("--loss-tolerance", &options->lossTolerance, "of the loss of a token, in nats",
              {.value = "X", .min = 0})
      .option("--mean-tolerance", &options->meanTolerance, "of mean losses, in nats",
              {.value = "X", .min = 0});
  command.action([options, &line] { return Verifier(*options, line.general()).run(); });
}

} // namespace levin::run
