// levin-bench: how fast a compiled model runs, beside what its device can do at best.
#include "runtime/base/File.h"
#include "tools/common/CommandLine.h"
#include "tools/common/Format.h"
#include "tools/common/Progress.h"
#include "tools/common/Report.h"
#include "tools/levin-bench/Cases.h"
#include "tools/levin-bench/Measure.h"
#include "tools/levin-bench/Meter.h"
#include "tools/levin-bench/Print.h"

#include <algorithm>
#include <new>
#include <optional>
#include <random>

using namespace levin;

namespace {

struct Options {
  std::string artifact;
  std::vector<std::string> weights;
  uint64_t threads = 0;
  bool trustWeights = false;
  std::string device;
  std::optional<uint64_t> randomWeights;
  bench::CaseOptions cases;
  uint64_t repetitions = 5;
  bool kernels = false;
  std::string trace, output = "md";
  std::optional<uint64_t> seed;
};

class Bench {
public:
  Bench(const Options &options, const tool::GeneralOptions &general)
      : options(options), general(general), progress(general.progress) {}
  Status run();

private:
  Status load();
  Status measureRows(const std::vector<bench::Case> &cases);
  Status measureKernels(const bench::Case &wanted);
  Status writeTrace(const bench::Case &wanted);
  Status print();
  bench::Facts header() const;

  const Options &options;
  const tool::GeneralOptions &general;
  tool::Progress progress;
  uint64_t seed = 0;
  std::shared_ptr<const Model> model;
  std::unique_ptr<Session> session;
  std::unique_ptr<bench::Meter> meter;
  bench::Results results;
  std::vector<bench::PlannedRun> kernelsMeasured;
};

} // namespace

Status Bench::load() {
  ModelOptions modelOptions;
  modelOptions.weightFolders = options.weights;
  modelOptions.threads = static_cast<unsigned>(options.threads);
  modelOptions.verifyDigests = !options.trustWeights;
  modelOptions.device = options.device;
  modelOptions.randomWeights = options.randomWeights;
  modelOptions.progress = [this](const char *, uint64_t done, uint64_t total) {
    progress.expect(total, tool::Progress::Unit::Bytes);
    progress.update(done);
  };
  progress.begin("load");
  LEVIN_ASSIGN_OR_RETURN(model, Model::load(options.artifact, modelOptions));
  SessionOptions sessionOptions;
  sessionOptions.threads = static_cast<unsigned>(options.threads);
  LEVIN_ASSIGN_OR_RETURN(session, Session::create(model, sessionOptions));
  progress.end(options.artifact);
  if (session->buckets().empty())
    return makeError(ErrorCode::NotInArtifact, "the artifact has no step entries")
        .note("fix", "compile a model that has a step function");
  LEVIN_ASSIGN_OR_RETURN(meter, bench::makeMeter(model, static_cast<unsigned>(options.threads)));
  return {};
}

bench::Facts Bench::header() const {
  const artifact::Manifest &manifest = model->manifest();
  std::string buckets;
  for (const Bucket &bucket : session->buckets())
    buckets += fmt::format("{}{}x{}x{}", buckets.empty() ? "" : " ", bucket.tokens,
                           bucket.sequences, bucket.rows);
  bench::Facts facts = {
      {"levin-bench", tool::versionLine("levin-bench").substr(12)},
      {"artifact", options.artifact},
      {"model", fmt::format("{}, {} layers, {} parameters", manifest.model.family,
                            manifest.model.layers, tool::humanCount(manifest.model.parameters))},
      {"compiler", manifest.producer.compiler},
      {"code", model->target()},
      {"buckets", buckets}};
  for (auto &fact : meter->facts())
    facts.push_back(std::move(fact));
  facts.emplace_back("repetitions", std::to_string(options.repetitions));
  facts.emplace_back("seed", std::to_string(seed));
  return facts;
}

Status Bench::measureRows(const std::vector<bench::Case> &cases) {
  progress.begin("measure", cases.size() * (options.repetitions + 1));
  uint64_t done = 0;
  for (const bench::Case &wanted : cases) {
    auto update = [&](uint64_t repetition) { progress.update(done + repetition, wanted.title()); };
    LEVIN_ASSIGN_OR_RETURN(
        bench::Measured row,
        bench::measure(*session, wanted, static_cast<unsigned>(options.repetitions), seed, update));
    results.rows.push_back(std::move(row));
    done += options.repetitions + 1;
  }
  progress.end(fmt::format("{} tests", cases.size()));
  return {};
}

Status Bench::measureKernels(const bench::Case &wanted) {
  LEVIN_ASSIGN_OR_RETURN(auto runs, bench::planRuns(model->manifest(), wanted, wanted.depth));
  if (std::ranges::find(kernelsMeasured, runs[0]) != kernelsMeasured.end())
    return {}; // another test begins with the same run
  kernelsMeasured.push_back(runs[0]);
  const artifact::Manifest &manifest = model->manifest();
  bench::StepInputs inputs = bench::makeInputs(manifest, *runs[0].entry, runs[0].shape, seed);
  LEVIN_ASSIGN_OR_RETURN(
      auto launches,
      meter->timeLaunches(*runs[0].entry, inputs, static_cast<unsigned>(options.repetitions)));
  results.kernels.push_back(bench::makeKernelTable(manifest, wanted, runs[0], launches));
  return {};
}

Status Bench::writeTrace(const bench::Case &wanted) {
  LEVIN_ASSIGN_OR_RETURN(auto runs, bench::planRuns(model->manifest(), wanted, wanted.depth));
  const artifact::Manifest &manifest = model->manifest();
  bench::StepInputs inputs = bench::makeInputs(manifest, *runs[0].entry, runs[0].shape, seed);
  LEVIN_ASSIGN_OR_RETURN(auto spans, meter->trace(*runs[0].entry, inputs));
  return writeFile(options.trace, bench::chromeTrace(manifest, runs[0], results.header, spans));
}

Status Bench::print() {
  tool::Output output;
  if (general.json || options.output == "json")
    output.write(bench::json(results).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  else
    output.write(options.output == "csv" ? bench::csv(results) : bench::markdown(results));
  return output.finish();
}

Status Bench::run() {
  LEVIN_ASSIGN_OR_RETURN(std::vector<bench::Case> cases, bench::listCases(options.cases));
  LEVIN_RETURN_IF_ERROR(load());
  for (const bench::Case &wanted : cases)
    LEVIN_RETURN_IF_ERROR(
        bench::checkCase(wanted, {session->slots(), session->maxContext(), session->buckets()}));
  seed = options.seed ? *options.seed : std::random_device()();
  results.header = header();
  progress.begin("ceilings");
  LEVIN_ASSIGN_OR_RETURN(results.ceilings.bytesPerSecond, meter->copyBandwidth());
  LEVIN_ASSIGN_OR_RETURN(results.ceilings.flopsPerSecond, meter->productRate());
  progress.end();
  LEVIN_RETURN_IF_ERROR(measureRows(cases));
  session.reset(); // its memory may be needed for single launches
  if (options.kernels) {
    progress.begin("kernels", cases.size());
    for (const bench::Case &wanted : cases)
      LEVIN_RETURN_IF_ERROR(measureKernels(wanted));
    progress.end();
  }
  if (!options.trace.empty())
    LEVIN_RETURN_IF_ERROR(writeTrace(cases.front()));
  return print();
}

int main(int argc, char **argv) {
  Options options;
  tool::CommandLine line("levin-bench", "Measures models that levin-compile made.");
  tool::Command &command = line.root();
  command.positional("MODEL", &options.artifact, "the artifact (.lvn)", {.required = true});
  command.group("Model")
      .option("--weights", &options.weights,
              "folder of the weight files; default: that of the artifact", {.value = "DIR"})
      .option("--device", &options.device,
              "host, or cuda:0 for the first GPU; default: what it is for", {.value = "DEVICE"})
      .option("--random-weights", &options.randomWeights,
              "no weight files: random weights from this seed (GPUs only)", {.value = "SEED"})
      .option("--threads", &options.threads, "threads to compute with; 0: all cores",
              {.value = "N", .max = 1024})
      .option("--trust-weights", &options.trustWeights,
              "do not compare the digests of the weight files");
  command.group("What to measure")
      .option("-p,--prompt", &options.cases.prompts, "tokens of prompts, such as 512,8K; 0: none",
              {.value = "N,.."})
      .option("-n,--generate", &options.cases.generations,
              "steps of one token for each sequence; 0: none", {.value = "N,.."})
      .option("-d,--depth", &options.cases.depths, "tokens that sequences hold before",
              {.value = "N,.."})
      .option("-b,--batch", &options.cases.batches, "sequences together", {.value = "N,.."})
      .option("--mixed", &options.cases.mixed,
              "steps of different sequences: 2x50+18x1 is 2 of 50 tokens and 18 of one",
              {.value = "NxTOKENS+.."})
      .option("-r,--repetitions", &options.repetitions, "times that each test is measured",
              {.value = "N", .min = 1, .max = 10000})
      .option("--seed", &options.seed, "of random tokens; default: a new one", {.value = "N"});
  command.group("Results")
      .option("-o,--output", &options.output, "Markdown, JSON or CSV",
              {.value = "FORM", .choices = {"md", "json", "csv"}})
      .option("--kernels", &options.kernels, "the time of every kernel of the first bucket, too")
      .option("--trace", &options.trace,
              "writes the launches of the first test's first bucket for Chrome or Perfetto",
              {.value = "FILE"});
  command.epilogue(
      "Examples:\n"
      "  levin-bench model.lvn -p 512,8K -n 128 -d 0,64K\n"
      "  levin-bench model.lvn -p 0 -b 1,16 --kernels\n\n"
      "A row is the median time of one step and how far the 10th and 90th percentile\n"
      "lie from it; tokenising and sampling are left out.  'needs' are the bytes that\n"
      "a step cannot do without: weights (of experts those that random routing\n"
      "chooses), state, cache.  'of copy' and 'of GEMM' compare with a copy and a bf16\n"
      "product, measured in the same run.");
  command.action([&] { return Bench(options, line.general()).run(); });
  try {
    return line.main(argc, argv);
  } catch (const std::bad_alloc &) {
    return tool::reportStatus(makeError(ErrorCode::OutOfMemory, "memory could not be allocated"),
                              line.general().json);
  }
}
