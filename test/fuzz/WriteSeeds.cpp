// fuzz-seeds CODE.so FOLDER: writes small valid inputs for the fuzzers, one folder for each.
#include "runtime/artifact/Write.h"
#include "runtime/base/File.h"
#include "runtime/weights/Safetensors.h"
#include "test/corrupt/SmallArtifact.h"

#include <cstdio>
#include <filesystem>

using namespace levin;

static Status writeArtifacts(const std::string &code, const std::string &folder) {
  std::vector<std::string> segments = artifact::smallSegments(code);
  artifact::Manifest manifest = artifact::smallManifest(segments);
  LEVIN_RETURN_IF_ERROR(artifact::writeArtifact(folder + "/small", manifest, segments));
  // Only the plain function, with its two commands in a race-free pair of streams.
  manifest.programs.erase(manifest.programs.begin(), manifest.programs.begin() + 2);
  manifest.entries.erase(manifest.entries.begin(), manifest.entries.begin() + 2);
  manifest.entries[0].program = 0;
  manifest.model = {};
  LEVIN_RETURN_IF_ERROR(artifact::writeArtifact(folder + "/function", manifest, segments));
  return artifact::writeArtifact(folder + "/empty", {}, {});
}

static Status writeWeights(const std::string &folder) {
  using weights::DType;
  std::vector<std::byte> data(96);
  std::span<const std::byte> all(data);
  weights::TensorToWrite tensors[] = {{"matrix", DType::F32, {4, 6}, all},
                                      {"cube", DType::BF16, {2, 3, 4}, all.first(48)},
                                      {"scalar", DType::F64, {}, all.first(8)},
                                      {"none", DType::I8, {0, 7}, {}}};
  LEVIN_RETURN_IF_ERROR(weights::writeSafetensors(folder + "/mixed", tensors, {{"format", "pt"}}));
  return weights::writeSafetensors(folder + "/empty", {});
}

static Status run(const std::string &codePath, const std::string &folder) {
  LEVIN_ASSIGN_OR_RETURN(std::string code, readFile(codePath));
  for (const char *name : {"/artifact", "/safetensors"})
    std::filesystem::create_directories(folder + name);
  LEVIN_RETURN_IF_ERROR(writeArtifacts(code, folder + "/artifact"));
  return writeWeights(folder + "/safetensors");
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fputs("usage: fuzz-seeds CODE.so FOLDER\n", stderr);
    return 2;
  }
  Status status = run(argv[1], argv[2]);
  std::fputs(status.text().c_str(), stderr);
  return status.exitStatus();
}
