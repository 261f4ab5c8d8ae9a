#include "test/corrupt/SmallArtifact.h"

#include "runtime/artifact/Write.h"

namespace levin::artifact {

namespace {

constexpr uint64_t vocabulary = 8, slots = 2;

Piece piece(std::string key, DType dtype, std::vector<uint64_t> shape,
            std::vector<uint64_t> starts = {}, std::vector<uint64_t> sizes = {}) {
  return {0, std::move(key), dtype, std::move(shape), std::move(starts), std::move(sizes)};
}

std::vector<Parameter> parameters() {
  Parameter panels{"gate.panels4",
                   {DType::F32, {6, 4}},
                   Pieces{Join::Concat,
                          {piece("a.weight", DType::BF16, {4, 4}),
                           piece("b.weight", DType::BF16, {8, 4}, {2, 0}, {2, 4})}},
                   4,
                   0,
                   128};
  Parameter stacked{
      "experts.plain",
      {DType::F32, {2, 2, 3}},
      Pieces{Join::Stack,
             {piece("expert0", DType::F32, {2, 3}), piece("expert1", DType::F32, {2, 3})}},
      0,
      128,
      48};
  Parameter constant{"slopes.plain", {DType::F32, {4}}, SegmentBytes{1, 0, 16}, 0, 192, 16};
  return {panels, stacked, constant};
}

// ids, starts, slots, past, rows, slopes, state, logits: each in 64 bytes of its own.
Program stepProgram(const std::string &name, uint64_t n, uint64_t s, uint64_t r) {
  RankProgram rank;
  uint64_t sizes[] = {4 * n, 4 * (s + 1), 4 * s, 4 * s, 4 * r};
  for (uint64_t i = 0; i < 5; ++i)
    rank.slices.push_back({64 * i, sizes[i], 2, 0, 0});
  rank.slices.push_back({192, 16, 0, 0, 0});
  rank.slices.push_back({0, 4 * slots * 4, 1, 0, 0});
  rank.slices.push_back({320, 4 * r * vocabulary, 2, 0, 0});
  Launch launch{0, 1, {static_cast<uint32_t>(r), 1, 1}, {}};
  for (uint32_t i = 0; i < rank.slices.size(); ++i)
    launch.bindings.push_back({0, rank.slices[i].size, i});
  rank.streams = {{{{launch, 0}}}};
  rank.workspaceBytes = 384;
  rank.peakBytes = 384;
  return {name, {rank}};
}

Entry stepEntry(const std::string &name, uint32_t program, uint64_t n, uint64_t s, uint64_t r) {
  Entry entry{name, program, n, s, r, {}, {}, {}};
  entry.inputs = {{"ids", Role::Ids, {DType::I32, {n}}, {0}},
                  {"starts", Role::Starts, {DType::I32, {s + 1}}, {1}},
                  {"slots", Role::Slots, {DType::I32, {s}}, {2}},
                  {"past", Role::Past, {DType::I32, {s}}, {3}},
                  {"rows", Role::Rows, {DType::I32, {r}}, {4}}};
  entry.outputs = {{"logits", Role::Logits, {DType::F32, {r, vocabulary}}, {7}}};
  entry.state = {{"layer0.state", Role::State, {DType::F32, {slots, 4}}, {6}}};
  return entry;
}

// x is scaled into a temporary, which is copied to y.
Program plainProgram() {
  RankProgram rank;
  rank.slices = {{0, 16, 2, 0, 1}, {64, 16, 2, 0, 1}, {128, 16, 2, 1, 1}};
  Launch launch{0, 0, {4, 1, 1}, {{0, 16, 0}, {0, 16, 1}}};
  Copy copy{{0, 16, 1}, {0, 16, 2}};
  rank.streams = {{{{launch, 1}, {copy, std::nullopt}}}};
  rank.workspaceBytes = 192;
  rank.peakBytes = 192;
  return {"double", {rank}};
}

} // namespace

std::vector<std::string> smallSegments(const std::string &code) {
  float constants[] = {0.5f, 0.25f, 0.125f, 0.0625f};
  return {code, std::string(reinterpret_cast<const char *>(constants), sizeof constants),
          R"({"model": {"type": "BPE"}})"};
}

Manifest smallManifest(const std::vector<std::string> &segments) {
  Manifest manifest;
  manifest.producer = {"levin-compile 0.1.0", std::vector<uint8_t>(32, 7), {{"buckets", "4x2x2"}}};
  manifest.weightFiles = {{"model.safetensors", 1000, sha256("weights")}};
  manifest.assets = {{"tokenizer.json", 2}};
  manifest.parameters = parameters();
  std::vector<bool> stepWrites(8);
  stepWrites[6] = stepWrites[7] = true;
  manifest.executables = {{{{"scale", {false, true}, 64, 128}, {"step_kernel", stepWrites, 64, 0}},
                           {{"host-x86_64-v3", CodeKind::HostElf, 0, {"avx2", "fma"}}}}};
  manifest.arenas = {{ArenaKind::Parameters, 256, 64},
                     {ArenaKind::State, 64, 64},
                     {ArenaKind::Workspace, 384, 64}};
  manifest.programs = {stepProgram("step_4_2_2", 4, 2, 2), stepProgram("step_1_1_1", 1, 1, 1),
                       plainProgram()};
  Entry plain{"double", 2, {}, {}, {}, {}, {}, {}};
  plain.inputs = {{"x", Role::None, {DType::F32, {4}}, {0}}};
  plain.outputs = {{"y", Role::None, {DType::F32, {4}}, {2}}};
  manifest.entries = {stepEntry("step_4_2_2", 0, 4, 2, 2), stepEntry("step_1_1_1", 1, 1, 1, 1),
                      plain};
  manifest.model = {"minimax", vocabulary, slots, 16, 1, {2}, 1, 40};
  manifest.debug = {{"layer0.step", "double.scale"}, "levin-compile-pipeline"};
  placeSegments(manifest, segments);
  return manifest;
}

std::string smallPtx() {
  return ".version 8.0\n.target sm_90a\n.address_size 64\n"
         ".visible .entry scale_kernel(.param .u64 a, .param .u64 b) {\n  ret;\n}\n"
         ".visible .entry step_main(.param .u64 a)\n{\n  ret;\n}\n";
}

Manifest smallDeviceManifest(const std::vector<std::string> &segments) {
  Manifest manifest = smallManifest(segments);
  Executable &executable = manifest.executables[0];
  executable.variants = {{"cuda-ptx_90a", CodeKind::Ptx, 0, {}}};
  DeviceLaunch scale{.symbol = "scale_kernel", .grid = {4, 1, 1}, .block = {32, 1, 1}};
  scale.scalars = {4, -1};
  scale.tensorMaps = {{0, DType::F32, 0, 0, {4}, {}, {4}}};
  executable.exports[0].launches = {scale};
  executable.exports[0].scratchBytes = 1024;
  DeviceLaunch step{.symbol = "step_main", .block = {128, 1, 1}};
  step.blocksPerProcessor = 1;
  step.concurrent = true;
  executable.exports[1].launches = {step};
  for (Export &exported : executable.exports)
    exported.stackBytes = 0;
  manifest.features = featuresInUse(manifest);
  return manifest;
}

} // namespace levin::artifact
