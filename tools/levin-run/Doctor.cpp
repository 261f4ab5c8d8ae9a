// levin-run doctor: what this machine is, fit to paste into a report.
#include "runtime/base/File.h"
#include "runtime/base/Json.h"
#include "runtime/hal/CpuFeatures.h"
#include "runtime/hal/ThreadPool.h"
#include "runtime/hal/cuda/Device.h"
#include "tools/common/Format.h"
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"
#include "tools/levin-run/Options.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

namespace levin::run {

using Facts = std::vector<std::pair<std::string, std::string>>;

/// The value after "key<space>:" in a file of /proc.
static std::string procValue(const char *path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == line.npos)
      continue;
    size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == line.npos ? "" : line.substr(begin);
  }
  return "unknown";
}

/// "16265640 kB" as "15.5 GiB".
static std::string memory(std::string_view key) {
  uint64_t kilobytes = std::strtoull(procValue("/proc/meminfo", key).c_str(), nullptr, 10);
  return kilobytes == 0 ? "unknown" : tool::humanBytes(kilobytes * 1024);
}

static std::string limitText(int resource, bool bytes) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
    return "unknown";
  if (limit.rlim_cur == RLIM_INFINITY)
    return "unlimited";
  return bytes ? tool::humanBytes(limit.rlim_cur) : std::to_string(limit.rlim_cur);
}

static std::string fileLine(const char *path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? line : "unknown";
}

static std::string systemName() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("PRETTY_NAME=\"") && line.ends_with('"'))
      return line.substr(13, line.size() - 14);
  return "unknown";
}

static std::string vectorFeatures() {
  auto features = hal::CpuFeatures::ofThisMachine();
  if (!features.ok())
    return "unknown";
  std::string text;
  for (const char *name : {"sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512bw",
                           "avx512vl", "avx512_bf16", "avx512_vnni", "avx512_fp16", "amx_tile",
                           "amx_bf16", "asimd", "asimddp", "bf16", "i8mm", "sve", "sve2"})
    if (features->has(name))
      text += fmt::format("{}{}", text.empty() ? "" : " ", name);
  return text.empty() ? "none" : text;
}

/// The driver and every GPU, or why there is none.
static void addGpuFacts(Facts &facts) {
  auto driver = hal::cuda::Driver::open();
  if (!driver.ok()) {
    facts.emplace_back("GPU", "none: " + driver.status().what());
    return;
  }
  facts.emplace_back("GPU driver", "CUDA " + hal::cuda::versionText((*driver)->version()));
  auto devices = hal::cuda::listDevices(**driver);
  if (!devices.ok()) {
    facts.emplace_back("GPU", "unknown: " + devices.status().what());
    return;
  }
  for (const hal::cuda::DeviceFacts &gpu : *devices)
    facts.emplace_back(fmt::format("cuda:{}", gpu.index),
                       fmt::format("{}, sm_{}, {} multiprocessors, {}", gpu.name, gpu.capability,
                                   gpu.multiprocessors, tool::humanBytes(gpu.memory)));
}

static Facts machineFacts() {
  utsname kernel{};
  ::uname(&kernel);
  return {{"levin-run", tool::versionLine("levin-run").substr(10)},
          {"library", levin_version()},
          {"system", systemName()},
          {"kernel", fmt::format("{} {}", kernel.release, kernel.machine)},
          {"processor", procValue("/proc/cpuinfo", "model name")},
          {"cores",
           fmt::format("{} usable of {}", hal::usableCores(), ::sysconf(_SC_NPROCESSORS_ONLN))},
          {"features", vectorFeatures()},
          {"memory", fmt::format("{} available of {}", memory("MemAvailable"), memory("MemTotal"))},
          {"swap", fmt::format("{} free of {}", memory("SwapFree"), memory("SwapTotal"))},
          {"huge pages", fileLine("/sys/kernel/mm/transparent_hugepage/enabled")},
          {"address space", limitText(RLIMIT_AS, true)},
          {"locked memory", limitText(RLIMIT_MEMLOCK, true)},
          {"open files", limitText(RLIMIT_NOFILE, false)}};
}

static Facts modelFacts(const Model &model) {
  const levin_model_info &info = model.info();
  return {
      {"model", fmt::format("{}, {} layers, vocabulary {}", *info.family ? info.family : "other",
                            info.layers, info.vocabulary)},
      {"compiler", info.compiler},
      {"code", *info.target ? info.target : "none for this machine"},
      {"slots", fmt::format("{} of {} tokens", info.slots,
                            info.max_context ? std::to_string(info.max_context) : "any number")},
      {"pages", info.pages ? fmt::format("{} of {} tokens", info.pages, info.page_tokens)
                           : "none: each slot has its own"},
      {"parameters", tool::humanBytes(info.parameter_bytes)},
      {"state", tool::humanBytes(info.state_bytes)},
      {"workspace", tool::humanBytes(info.workspace_bytes)}};
}

static Status doctor(const std::string &artifact, bool json) {
  Facts facts = machineFacts();
  addGpuFacts(facts);
  if (!artifact.empty()) {
    ModelOptions options;
    options.artifact = artifact;
    LEVIN_ASSIGN_OR_RETURN(Model model, options.inspect());
    for (auto &fact : modelFacts(model))
      facts.push_back(std::move(fact));
  }
  tool::Output output;
  Json object = Json::object();
  for (const auto &[name, value] : facts) {
    object[name] = value;
    if (!json)
      output.print("{:<14} {}\n", name, value);
  }
  if (json)
    output.write(object.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  return output.finish();
}

void addDoctor(tool::CommandLine &line) {
  auto artifact = std::make_shared<std::string>();
  line.subcommand("doctor", "says what this machine is, fit to paste into a report")
      .positional("MODEL", artifact.get(), "an artifact to describe too")
      .action([artifact, &line] { return doctor(*artifact, line.general().json); });
}

} // namespace levin::run
