#include "test/unit/session/ToyModel.h"

#include "runtime/artifact/Write.h"
#include "runtime/base/File.h"
#include "runtime/base/Half.h"
#include "runtime/weights/Safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace levin::toy {

using namespace artifact;

TemporaryFolder::TemporaryFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "levin-test-XXXXXX";
  folder = ::mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(folder); }

std::vector<float> embedding() {
  std::vector<float> values(vocabulary * width);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>(i * 7 % 23) - 11) / 8;
  return values;
}

std::vector<float> head() {
  std::vector<float> values(vocabulary * width);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>(i * 5 % 17) - 8) / 4;
  return values;
}

std::vector<float> reference(std::span<const int32_t> tokens) {
  std::vector<float> e = embedding(), h = head(), logits, state(width, 0);
  for (size_t t = 0; t < tokens.size(); ++t) {
    for (size_t d = 0; d < width; ++d)
      state[d] = 0.5f * state[d] + e[static_cast<size_t>(tokens[t]) * width + d];
    for (size_t v = 0; v < vocabulary; ++v) {
      float sum = 0;
      for (size_t d = 0; d < width; ++d)
        sum += (state[d] + 0.001f * static_cast<float>(t)) * h[v * width + d];
      logits.push_back(sum);
    }
  }
  return logits;
}

std::vector<int32_t> greedy(std::vector<int32_t> prompt, size_t count) {
  std::vector<int32_t> answer;
  for (size_t i = 0; i < count; ++i) {
    std::vector<float> logits = reference(prompt);
    auto row = logits.end() - vocabulary;
    answer.push_back(static_cast<int32_t>(std::max_element(row, logits.end()) - row));
    prompt.push_back(answer.back());
  }
  return answer;
}

std::string code() { return *readFile(LEVIN_TOY_KERNELS); }

/// What the artifact's checks want of PTX; the test's own driver knows the kernels by name.
static std::string ptx() {
  std::string text = ".version 7.8\n.target sm_80\n";
  for (const char *name : {"toy_recur", "toy_paged", "toy_project", "toy_scale", "toy_place",
                           "toy_fill", "toy_summary"})
    text += fmt::format(".visible .entry {}()\n", name);
  return text;
}

std::vector<std::string> segments(const Kind &kind) {
  float scale = 3;
  std::string constant(sizeof(scale), '\0');
  std::memcpy(constant.data(), &scale, sizeof(scale));
  return {kind.cuda ? ptx() : code(), constant, "{\"toy\": true}"};
}

void writeWeights(const std::string &folder, Manifest &manifest) {
  std::vector<uint16_t> half;
  for (float value : embedding())
    half.push_back(floatToBf16(value));
  std::vector<float> full = head();
  weights::TensorToWrite tensors[] = {
      {"embedding", weights::DType::BF16, {vocabulary, width}, std::as_bytes(std::span(half))},
      {"head", weights::DType::F32, {vocabulary, width}, std::as_bytes(std::span(full))}};
  std::string path = folder + "/toy.safetensors";
  ASSERT_TRUE(weights::writeSafetensors(path, tensors).ok());
  std::string bytes = *readFile(path);
  manifest.weightFiles = {{"toy.safetensors", bytes.size(), sha256(bytes)}};
}

namespace {

constexpr uint64_t align64(uint64_t bytes) { return (bytes + 63) / 64 * 64; }
constexpr uint32_t parameterArena = 0, stateArena = 1, workspaceArena = 2;
constexpr uint64_t panels = (vocabulary + panel - 1) / panel;
constexpr uint64_t embeddingBytes = vocabulary * width * 4, headBytes = panels * width * panel * 4;
constexpr uint64_t stateBytes = slots * width * 4;

/// Slices of a program in order, the workspace ones end to end.
class Slices {
public:
  explicit Slices(uint32_t lastCommand) : last(lastCommand) {}

  uint32_t fixed(uint32_t arena, uint64_t offset, uint64_t size) {
    list.push_back({offset, size, arena, 0, last});
    return static_cast<uint32_t>(list.size() - 1);
  }
  uint32_t workspace(uint64_t size) {
    uint32_t index = fixed(workspaceArena, end, size);
    end += align64(size);
    return index;
  }
  Ref all(uint32_t slice) const { return {0, list[slice].size, slice}; }

  std::vector<Slice> list;
  uint64_t end = 0;

private:
  uint32_t last;
};

/// An export of one kernel of a GPU: the number of the new one.
uint32_t addExport(Manifest &manifest, std::string name, std::vector<bool> written,
                   std::array<uint32_t, 3> grid) {
  Export exported{name + fmt::format("_{}x{}", grid[0], grid[1]), std::move(written), 64, 0};
  DeviceLaunch launch;
  launch.symbol = std::move(name);
  launch.grid = grid;
  exported.launches = {launch};
  auto &exports = manifest.executables[0].exports;
  exports.push_back(std::move(exported));
  return static_cast<uint32_t>(exports.size() - 1);
}

void addStep(Manifest &manifest, const Bucket &bucket, const Kind &kind) {
  auto [n, s, r] = bucket;
  Slices slices(1);
  uint32_t ids = slices.workspace(n * 4), starts = slices.workspace((s + 1) * 4),
           slotIds = slices.workspace(s * 4), past = slices.workspace(s * 4),
           rows = slices.workspace(r * 4), logits = slices.workspace(r * vocabulary * 4),
           hidden = slices.workspace(n * width * 4);
  bool paged = kind.pages != 0;
  uint64_t cacheBytes = paged ? kind.pages * pageTokens * 4 : stateBytes;
  uint32_t embeddingSlice = slices.fixed(parameterArena, 0, embeddingBytes),
           headSlice = slices.fixed(parameterArena, align64(embeddingBytes), headBytes),
           state = slices.fixed(stateArena, 0, cacheBytes),
           pages = paged ? slices.workspace(s * blocksOfContext * 4) : 0;
  RankProgram rank;
  auto width32 = static_cast<uint32_t>(s), rows32 = static_cast<uint32_t>(r);
  Launch recur{0, paged ? 3u : 0u, {width32, 1, 1}, {}};
  for (uint32_t slice : {ids, starts, paged ? pages : slotIds, past, embeddingSlice, state, hidden})
    recur.bindings.push_back(slices.all(slice));
  Launch project{0, 1, {rows32, static_cast<uint32_t>(panels), 1}, {}};
  for (uint32_t slice : {rows, hidden, headSlice, logits})
    project.bindings.push_back(slices.all(slice));
  if (kind.cuda) {
    recur.exportIndex = addExport(manifest, paged ? "toy_paged" : "toy_recur",
                                  {false, false, false, false, false, true, true}, recur.grid);
    project.exportIndex =
        addExport(manifest, "toy_project", {false, false, false, true}, project.grid);
    manifest.executables[0].exports.back().launches[0].programmatic = true;
    recur.grid = project.grid = {1, 1, 1};
  }
  rank.streams = {{{{recur, 0}, {project, 1}}}};
  rank.slices = slices.list;
  rank.workspaceBytes = rank.peakBytes = slices.end;

  Entry entry;
  entry.name = fmt::format("step_{}_{}_{}", n, s, r);
  entry.program = static_cast<uint32_t>(manifest.programs.size());
  entry.tokens = n;
  entry.sequences = s;
  entry.rows = r;
  entry.inputs = {{"ids", Role::Ids, {DType::I32, {n}}, {ids}},
                  {"starts", Role::Starts, {DType::I32, {s + 1}}, {starts}},
                  {"slots", Role::Slots, {DType::I32, {s}}, {slotIds}},
                  {"past", Role::Past, {DType::I32, {s}}, {past}},
                  {"rows", Role::Rows, {DType::I32, {r}}, {rows}}};
  entry.outputs = {{"logits", Role::Logits, {DType::F32, {r, vocabulary}}, {logits}}};
  entry.state = {{"state", Role::State, {DType::F32, {slots, width}}, {state}}};
  if (paged) {
    entry.inputs.push_back({"pages", Role::Pages, {DType::I32, {s, blocksOfContext}}, {pages}});
    entry.state = {{"cache", Role::State, {DType::F32, {kind.pages, pageTokens}}, {state}}};
  }
  manifest.programs.push_back({entry.name, {rank}});
  manifest.entries.push_back(entry);
  manifest.arenas[workspaceArena].size =
      std::max(manifest.arenas[workspaceArena].size, rank.workspaceBytes);
}

/// On a GPU in two steps: toy_scale, whose second half runs beside the first and which needs
/// scratch memory, and toy_place.
void addAffine(Manifest &manifest, const Kind &kind) {
  Slices slices(kind.cuda ? 2 : 1);
  uint32_t x = slices.workspace(96), y = slices.workspace(96), middle = slices.workspace(96);
  uint32_t scale = slices.fixed(parameterArena, align64(embeddingBytes) + align64(headBytes), 4);
  RankProgram rank;
  Launch affine{0, 2, {2, 3, 4}, {slices.all(x), slices.all(scale), slices.all(middle)}};
  Copy copy{slices.all(middle), slices.all(y)};
  if (kind.cuda) {
    uint32_t scaled = slices.workspace(96);
    affine.exportIndex = addExport(manifest, "toy_scale", {false, false, true}, {1, 1, 1});
    Export &exported = manifest.executables[0].exports.back();
    exported.scratchBytes = 256;
    exported.launches.push_back(exported.launches[0]);
    exported.launches[0].scalars = {0, 12};
    exported.launches[1].scalars = {12, 24};
    exported.launches[1].concurrent = true;
    affine.grid = {1, 1, 1};
    affine.bindings[2] = slices.all(scaled);
    uint32_t place = addExport(manifest, "toy_place", {false, true}, {1, 1, 1});
    manifest.executables[0].exports.back().launches[0].programmatic = true;
    Launch placed{0, place, {1, 1, 1}, {slices.all(scaled), slices.all(middle)}};
    rank.streams = {{{{affine, {}}, {placed, {}}, {copy, {}}}}};
  } else {
    rank.streams = {{{{affine, {}}, {copy, {}}}}};
  }
  rank.slices = slices.list;
  rank.workspaceBytes = rank.peakBytes = slices.end;
  Entry entry;
  entry.name = "affine";
  entry.program = static_cast<uint32_t>(manifest.programs.size());
  entry.inputs = {{"x", Role::None, {DType::F32, {24}}, {x}}};
  entry.outputs = {{"y", Role::None, {DType::F32, {24}}, {y}}};
  manifest.programs.push_back({entry.name, {rank}});
  manifest.entries.push_back(entry);
  manifest.arenas[workspaceArena].size =
      std::max(manifest.arenas[workspaceArena].size, rank.workspaceBytes);
}

} // namespace

Manifest manifest(std::span<const Bucket> buckets, const Kind &kind) {
  Manifest manifest;
  manifest.producer.compiler = "toy";
  manifest.assets = {{"toy.json", 2}};
  Parameter embedding{"embedding", {DType::F32, {vocabulary, width}}, {}, 0, 0, embeddingBytes};
  embedding.source =
      Pieces{Join::Concat, {{0, "embedding", DType::BF16, {vocabulary, width}, {}, {}}}};
  Parameter head{"head", {DType::F32, {vocabulary, width}}, {},
                 panel,  align64(embeddingBytes),           headBytes};
  head.source = Pieces{Join::Concat, {{0, "head", DType::F32, {vocabulary, width}, {}, {}}}};
  uint64_t scaleOffset = align64(embeddingBytes) + align64(headBytes);
  Parameter scale{"scale", {DType::F32, {1}}, SegmentBytes{1, 0, 4}, 0, scaleOffset, 4};
  manifest.parameters = {embedding, head, scale};
  Executable executable;
  executable.exports = {{"toy_recur", {false, false, false, false, false, true, true}, 64, 256},
                        {"toy_project", {false, false, false, true}, 64, 256},
                        {"toy_affine", {false, false, true}, 64, 256},
                        {"toy_paged", {false, false, false, false, false, true, true}, 64, 256}};
  executable.variants = {{"host-from-the-future", CodeKind::HostElf, 0, {"no_such_feature"}},
                         {"host-any", CodeKind::HostElf, 0, {}}};
  if (kind.cuda) { // exports come with the entries
    executable.exports.clear();
    executable.variants = {{"cuda-ptx_80", CodeKind::Ptx, 0, {}}};
  }
  manifest.executables = {executable};
  if (kind.cuda) {
    Export fill{"fill_random", {true}, 64, 0};
    fill.launches = {{"toy_fill"}};
    fill.launches[0].block = {256, 1, 1};
    fill.launches[0].scalars = {0, 0, 0, 0};
    Export summary{"row_summary", {false, true}, 64, 0};
    summary.launches = {{"toy_summary"}};
    summary.launches[0].scalars = {0, 0};
    executable.exports = {fill, summary};
    manifest.executables.push_back(executable);
  }
  manifest.debug.locations = {"model.recurrence", "model.head"};
  manifest.arenas = {
      {ArenaKind::Parameters, scaleOffset + 64, 64},
      {ArenaKind::State, kind.pages != 0 ? kind.pages * pageTokens * 4 : stateBytes, 64},
      {ArenaKind::Workspace, 0, 64}};
  for (const Bucket &bucket : buckets)
    addStep(manifest, bucket, kind);
  addAffine(manifest, kind);
  if (!buckets.empty()) {
    manifest.model.family = "toy";
    manifest.model.vocabulary = vocabulary;
    manifest.model.slots = slots;
    manifest.model.maxContext = maxContext;
    manifest.model.pages = kind.pages;
    manifest.model.pageTokens = kind.pages != 0 ? pageTokens : 0;
    manifest.model.layers = 1;
    manifest.model.parameters = 2 * vocabulary * width;
    manifest.model.beginToken = 1;
    manifest.model.endTokens = {};
  }
  return manifest;
}

std::string write(const std::string &folder, std::span<const Bucket> buckets, const Kind &kind) {
  Manifest described = manifest(buckets, kind);
  writeWeights(folder, described);
  std::string path = folder + "/toy.lvn";
  Status status = writeArtifact(path, described, segments(kind));
  EXPECT_TRUE(status.ok()) << status.text();
  return path;
}

} // namespace levin::toy
