// Each check of what runs on a GPU refuses one damaged manifest, or damaged code, with its code.
#include "test/corrupt/Refusal.h"

#include "runtime/artifact/Check.h"

#include <elf.h>

#include <cstring>

namespace levin::artifact {
namespace {

using E = ErrorCode;

Export &scale(Manifest &m) { return m.executables[0].exports[0]; }
DeviceLaunch &launch(Manifest &m) { return scale(m).launches[0]; }
TensorMap &map(Manifest &m) { return launch(m).tensorMaps[0]; }
LibraryProduct &product(Manifest &m) {
  scale(m).launches.clear();
  scale(m).scratchBytes = 0;
  return scale(m).product.emplace(
      LibraryProduct{1, 4, 1, 0, 0, 1, DType::F32, DType::F32, DType::F32});
}

const Corruption corruptions[] = {
    {"no_launch", E::ArtifactLaunch, "exports[0]: 'scale' does not fit the code",
     [](Manifest &m) { scale(m).launches.clear(); }},
    {"too_many_launches", E::ArtifactLimit, "the kernel has too many launches",
     [](Manifest &m) { scale(m).launches.resize(17, launch(m)); }},
    {"scratch", E::ArtifactLimit, "the kernel needs too much scratch memory",
     [](Manifest &m) { scale(m).scratchBytes = ~uint64_t(0); }},
    {"symbol", E::ArtifactName, "launches[0].symbol: the name of the kernel is not allowed",
     [](Manifest &m) { launch(m).symbol = "a b"; }},
    {"symbol_absent", E::ArtifactCode, "the code does not define the kernel 'scale_kerne'",
     [](Manifest &m) { launch(m).symbol = "scale_kerne"; }},
    {"grid_zero", E::ArtifactLaunch, "launches[0].grid: the grid is impossible",
     [](Manifest &m) { launch(m).grid[1] = 0; }},
    {"grid_large", E::ArtifactLaunch, "need: 1 to 2147483648 in all",
     [](Manifest &m) { launch(m).grid = {~0u, ~0u, ~0u}; }},
    {"grid_y", E::ArtifactLaunch, "the grid does not consist of clusters",
     [](Manifest &m) { launch(m).grid = {1, 65536, 1}; }},
    {"block", E::ArtifactLaunch, "launches[0].block: the block is impossible",
     [](Manifest &m) { launch(m).block = {1025, 1, 1}; }},
    {"cluster", E::ArtifactLaunch, "launches[0].cluster: the cluster is impossible",
     [](Manifest &m) { launch(m).cluster = {17, 1, 1}; }},
    {"cluster_divides", E::ArtifactLaunch, "have: 4 x 1 x 1 blocks in clusters of 3 x 1 x 1",
     [](Manifest &m) { launch(m).cluster = {3, 1, 1}; }},
    {"shared", E::ArtifactLimit, "have: 232449 + 0 bytes",
     [](Manifest &m) { launch(m).sharedBytes = 232449; }},
    {"shared_together", E::ArtifactLimit, "have: 232448 + 1 bytes",
     [](Manifest &m) {
       launch(m).sharedBytes = 232448;
       launch(m).staticSharedBytes = 1;
     }},
    {"scalars", E::ArtifactLimit, "the kernel has too many arguments",
     [](Manifest &m) { launch(m).scalars.resize(65); }},
    {"map_binding", E::ArtifactIndex, "tensor_maps[0].binding: 3 is no index into 2 bindings",
     [](Manifest &m) { map(m).binding = 3; }},
    {"map_no_scratch", E::ArtifactIndex, "tensor_maps[0].binding: 2 is no index into 2 bindings",
     [](Manifest &m) {
       map(m).binding = 2;
       scale(m).scratchBytes = 0;
     }},
    {"map_leaves_scratch", E::ArtifactLaunch, "have: 1040 bytes",
     [](Manifest &m) {
       map(m).binding = 2;
       map(m).extents = {260};
     }},
    {"map_dtype", E::ArtifactEnum, "tensor_maps[0].dtype",
     [](Manifest &m) { map(m).dtype = DType(99); }},
    {"map_rank", E::ArtifactLaunch, "have: 1 extents, 1 strides, 1 sides",
     [](Manifest &m) { map(m).strides = {16}; }},
    {"map_box", E::ArtifactLaunch, "dimension 0 of the box is impossible",
     [](Manifest &m) { map(m).box = {257}; }},
    {"map_swizzle", E::ArtifactLaunch, "have: rows of 16 bytes, swizzle 48",
     [](Manifest &m) { map(m).swizzle = 48; }},
    {"map_offset", E::ArtifactLaunch, "swizzle 0, offset 8",
     [](Manifest &m) { map(m).offset = 8; }},
    {"map_leaves", E::ArtifactLaunch, "a box of 'scale' leaves the binding",
     [](Manifest &m) { map(m).extents = {5}; }},
    {"map_wraps", E::ArtifactLaunch, "a box of 'scale' leaves the binding",
     [](Manifest &m) { map(m).offset = ~uint64_t(15); }},
    {"product_binding", E::ArtifactIndex, "product: 7 is no index into 2 bindings",
     [](Manifest &m) { product(m).weight = 7; }},
    {"product_extent", E::ArtifactLaunch, "the product has an impossible extent",
     [](Manifest &m) { product(m).k = 0; }},
    {"product_leaves", E::ArtifactLaunch, "an operand of 'scale' leaves the binding",
     [](Manifest &m) { product(m).n = 5; }},
    {"product_and_launches", E::ArtifactLaunch, "'scale' is both a product and launches",
     [](Manifest &m) {
       DeviceLaunch kept = launch(m);
       product(m);
       scale(m).launches = {kept};
     }},
};

Status refusalOf(Manifest manifest, const std::vector<std::string> &segments) {
  auto artifact = parseText(serialiseUnchecked(manifest, segments));
  return artifact.ok() ? Status() : artifact.takeStatus();
}

class CorruptDevice : public testing::TestWithParam<Corruption> {};

TEST_P(CorruptDevice, IsRefused) {
  std::vector<std::string> segments = smallSegments(smallPtx());
  Manifest manifest = smallDeviceManifest(segments);
  GetParam().damage(manifest);
  expectRefused(refusalOf(manifest, segments), GetParam().code, GetParam().fragment);
}

INSTANTIATE_TEST_SUITE_P(Launches, CorruptDevice, testing::ValuesIn(corruptions),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(DeviceCode, GoodIsAcceptedAndReadBack) {
  std::vector<std::string> segments = smallSegments(smallPtx());
  Manifest manifest = smallDeviceManifest(segments);
  auto artifact = parseText(serialiseUnchecked(manifest, segments));
  ASSERT_TRUE(artifact.ok()) << artifact.status().text();
  EXPECT_EQ(artifact->manifest(), manifest);
}

TEST(DeviceCode, ProductIsReadBack) {
  std::vector<std::string> segments = smallSegments(smallPtx());
  Manifest manifest = smallDeviceManifest(segments);
  product(manifest);
  auto artifact = parseText(serialiseUnchecked(manifest, segments));
  ASSERT_TRUE(artifact.ok()) << artifact.status().text();
  EXPECT_EQ(artifact->manifest(), manifest);
}

void expectRefusedCode(CodeKind kind, const std::string &code, const std::string &fragment) {
  std::vector<std::string> segments = smallSegments(code);
  Manifest manifest = smallDeviceManifest(segments);
  manifest.executables[0].variants[0].kind = kind;
  expectRefused(refusalOf(manifest, segments), ErrorCode::ArtifactCode, fragment);
}

TEST(DeviceCode, PtxMustBeText) {
  expectRefusedCode(CodeKind::Ptx, smallPtx() + '\0', "the segment is no PTX");
  expectRefusedCode(CodeKind::Ptx, ".target sm_90a\n", "the segment is no PTX");
  expectRefusedCode(CodeKind::Ptx, "", "the segment is no PTX");
}

TEST(DeviceCode, CubinMustBeAnElfFileForAGpu) {
  expectRefusedCode(CodeKind::Cubin, "", "the segment is no ELF file");
  expectRefusedCode(CodeKind::Cubin, smallPtx(), "the segment is no ELF file");
  expectRefusedCode(CodeKind::Cubin, testCode("good"), "the code is for no GPU");
}

TEST(DeviceCode, CubinTablesMustLieInside) {
  std::string code = testCode("good");
  Elf64_Ehdr header;
  std::memcpy(&header, code.data(), sizeof header);
  header.e_machine = 190;
  auto with = [&](auto change) {
    Elf64_Ehdr changed = header;
    change(changed);
    std::string bytes = code;
    std::memcpy(bytes.data(), &changed, sizeof changed);
    return bytes;
  };
  expectRefusedCode(CodeKind::Cubin, with([](Elf64_Ehdr &h) { h.e_shoff = ~uint64_t(0); }),
                    "the headers lie outside the file");
  expectRefusedCode(CodeKind::Cubin, with([](Elf64_Ehdr &h) { h.e_phnum = 0xffff; }),
                    "the headers lie outside the file");
  expectRefusedCode(CodeKind::Cubin, with([](Elf64_Ehdr &) {}), "does not define the kernel");
}

} // namespace
} // namespace levin::artifact
