// levin-inspect: prints every part of an artifact and runs none of it.
#include "tools/levin-inspect/Inspect.h"

#include "runtime/base/DidYouMean.h"
#include "runtime/base/File.h"
#include "tools/common/CommandLine.h"

#include <algorithm>

using namespace levin;
using namespace levin::artifact;

namespace {

struct Options {
  std::string path, extract, output, key;
  std::vector<std::string> sections;
  bool exec = false, check = false;
};

Status printSections(const Artifact &artifact, const Options &options, bool json,
                     tool::Output &out) {
  // Long tables come only when they are asked for.
  std::vector<std::string> sections = options.sections;
  if (sections.empty())
    sections =
        json ? inspect::sectionNames() : std::vector<std::string>{"summary", "entries", "memory",
                                                                  "kernels", "weights", "assets"};
  nlohmann::ordered_json all;
  for (const std::string &section : inspect::sectionNames()) {
    if (std::find(sections.begin(), sections.end(), section) == sections.end())
      continue;
    if (json)
      all[section] = inspect::sectionAsJson(artifact, section);
    else
      inspect::printSection(artifact, section, out);
  }
  if (json)
    out.print("{}\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return out.finish();
}

Status printCheck(const Artifact &artifact, bool json, tool::Output &out) {
  std::string identity = toHex(artifact.manifestDigest());
  if (json)
    out.print("{}\n", nlohmann::ordered_json{{"ok", true}, {"identity", identity}}.dump());
  else
    out.print("{}: every check passed, identity {}\n", artifact.path(), identity);
  return out.finish();
}

// What `--extract KIND:NAME` can name.
std::vector<std::string> extractable(const Artifact &artifact) {
  std::vector<std::string> names;
  for (const Asset &asset : artifact.manifest().assets)
    names.push_back("asset:" + asset.name);
  for (const Executable &executable : artifact.manifest().executables)
    for (const Variant &variant : executable.variants)
      names.push_back("kernel:" + variant.target);
  return names;
}

Result<std::span<const std::byte>> findPart(const Artifact &artifact, const std::string &what) {
  size_t colon = what.find(':');
  std::string kind = what.substr(0, colon);
  if (colon == what.npos || (kind != "asset" && kind != "kernel"))
    return makeError(ErrorCode::OptionValue, "--extract '{}' names no part", what)
        .note("need", "asset:NAME or kernel:TARGET");
  std::string name = what.substr(colon + 1);
  if (kind == "asset") {
    if (auto asset = artifact.findAsset(name))
      return *asset;
  } else {
    for (const Executable &executable : artifact.manifest().executables)
      for (const Variant &variant : executable.variants)
        if (variant.target == name)
          return artifact.segmentBytes(variant.segment);
  }
  std::vector<std::string> names = extractable(artifact);
  Status status = makeError(ErrorCode::NotInArtifact, "the artifact holds no '{}'", what)
                      .note("have", names.empty() ? "nothing to extract"
                                                  : fmt::format("{}", fmt::join(names, ", ")));
  if (auto hint = didYouMean(what, names))
    status.note("fix", *hint);
  return status;
}

Status extractPart(const Artifact &artifact, const Options &options, tool::Output &out) {
  LEVIN_ASSIGN_OR_RETURN(std::span<const std::byte> bytes, findPart(artifact, options.extract));
  std::string_view text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  if (!options.output.empty())
    return writeFile(options.output, text);
  out.write(text);
  return out.finish();
}

Status run(const Options &options, bool json) {
  int actions = !options.extract.empty() + options.exec + options.check + !options.sections.empty();
  if (actions > 1)
    return Status(ErrorCode::Usage, "--section, --exec, --check and --extract exclude each other")
        .note("fix", "ask for one at a time");
  if (!options.output.empty() && options.extract.empty())
    return Status(ErrorCode::Usage, "--output without --extract")
        .note("fix", "results go to standard output; use '>' to keep them");
  LEVIN_ASSIGN_OR_RETURN(Artifact artifact,
                         Artifact::open(options.path, {.requireSignature = options.key}));
  tool::Output out;
  if (!options.extract.empty())
    return extractPart(artifact, options, out);
  if (options.check)
    return printCheck(artifact, json, out);
  if (!options.exec)
    return printSections(artifact, options, json, out);
  inspect::printExec(artifact, out);
  return out.finish();
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  tool::CommandLine line("levin-inspect",
                         "Prints what is in a compiled model; runs nothing of it.");
  line.root()
      .positional("ARTIFACT", &options.path, "the file that levin-compile wrote",
                  {.required = true})
      .option("--section", &options.sections, "print this part only; may be repeated",
              {.value = "NAME", .choices = inspect::sectionNames()})
      .option("--exec", &options.exec, "print the programs as exec IR, which levin-opt reads")
      .option("--check", &options.check, "only check the file")
      .option("--extract", &options.extract, "write asset:NAME or kernel:TARGET to the output",
              {.value = "PART"})
      .option("-o,--output", &options.output, "where to write what is extracted", {.value = "FILE"})
      .option("--require-signature", &options.key,
              "refuse the file unless ARTIFACT.sig is a signature by this Ed25519 key",
              {.value = "KEY.pub"})
      .epilogue("Examples:\n"
                "  levin-inspect model.lvn\n"
                "  levin-inspect model.lvn --section parameters --section commands\n"
                "  levin-inspect model.lvn --json | jq .memory\n"
                "  levin-inspect model.lvn --extract asset:tokenizer.json -o tokenizer.json\n")
      .action([&] { return run(options, line.general().json); });
  return line.main(argc, argv);
}
