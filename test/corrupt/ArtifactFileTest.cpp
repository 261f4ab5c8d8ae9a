// The file around the manifest: header, padding, flatbuffer; and that writing and reading agree.
#include "test/corrupt/Refusal.h"

#include "runtime/artifact/WriteManifest.h"
#include "runtime/artifact/artifact_generated.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace levin::artifact {
namespace {

using E = ErrorCode;

std::vector<std::string> goodSegments() { return smallSegments(testCode("good")); }

std::string goodFile() {
  std::vector<std::string> segments = goodSegments();
  return serialiseUnchecked(smallManifest(segments), segments);
}

void expectRefusedBytes(const std::string &bytes, ErrorCode code, const std::string &fragment) {
  auto artifact = parseText(bytes);
  expectRefused(artifact.ok() ? Status() : artifact.takeStatus(), code, fragment);
}

template <typename T> std::string poked(std::string bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  return bytes;
}

// The file around an encoded manifest, with a digest that fits.
std::string wrap(const std::string &manifest) {
  Header header;
  header.major = formatMajor;
  header.minor = formatMinor;
  header.manifestOffset = headerBytes;
  header.manifestBytes = manifest.size();
  header.segmentsOffset =
      (headerBytes + manifest.size() + segmentAlignment - 1) / segmentAlignment * segmentAlignment;
  header.fileBytes = header.segmentsOffset;
  header.manifestDigest = sha256(manifest);
  HeaderBytes bytes = encode(header);
  std::string file(bytes.begin(), bytes.end());
  file += manifest;
  file.resize(header.segmentsOffset);
  return file;
}

// --- writing and reading agree -------------------------------------------------------------------

TEST(RoundTrip, ManifestAndSegments) {
  std::vector<std::string> segments = goodSegments();
  Manifest manifest = smallManifest(segments);
  auto file = serialise(manifest, segments);
  ASSERT_TRUE(file.ok()) << file.status().text();
  auto artifact = parseText(*file);
  ASSERT_TRUE(artifact.ok()) << artifact.status().text();
  EXPECT_TRUE(artifact->manifest() == manifest);
  for (uint32_t i = 0; i < segments.size(); ++i) {
    auto bytes = artifact->segmentBytes(i);
    EXPECT_EQ(std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size()), segments[i]);
  }
  EXPECT_TRUE(artifact->findAsset("tokenizer.json").has_value());
  EXPECT_FALSE(artifact->findAsset("golden.json").has_value());
  // What was read is written as the same bytes.
  auto again = serialise(artifact->manifest(), segments);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, *file);
}

TEST(RoundTrip, AbsentIsNotZero) {
  std::vector<std::string> segments = goodSegments();
  Manifest manifest = smallManifest(segments);
  manifest.model.beginToken = 0;
  manifest.programs[2].ranks[0].streams[0].items[1].location = 0;
  auto file = serialise(manifest, segments);
  ASSERT_TRUE(file.ok()) << file.status().text();
  auto artifact = parseText(*file);
  ASSERT_TRUE(artifact.ok()) << artifact.status().text();
  EXPECT_TRUE(artifact->manifest() == manifest);
}

TEST(RoundTrip, NoSegmentsNoEntries) {
  auto file = serialise({}, {});
  ASSERT_TRUE(file.ok()) << file.status().text();
  auto artifact = parseText(*file);
  EXPECT_TRUE(artifact.ok()) << artifact.status().text();
}

class ArtifactFile : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "levin-artifact-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string folder;
};

TEST_F(ArtifactFile, EqualBytesTwice) {
  std::vector<std::string> segments = goodSegments();
  for (const char *name : {"/a.lvn", "/b.lvn"}) {
    Status status = writeArtifact(folder + name, smallManifest(segments), segments);
    ASSERT_TRUE(status.ok()) << status.text();
  }
  auto a = readFile(folder + "/a.lvn"), b = readFile(folder + "/b.lvn");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(*a, *b);
  EXPECT_EQ(*a, goodFile());
  auto artifact = Artifact::open(folder + "/a.lvn");
  EXPECT_TRUE(artifact.ok()) << artifact.status().text();
}

TEST_F(ArtifactFile, NothingIsWrittenIfRefused) {
  std::vector<std::string> segments = goodSegments();
  Manifest manifest = smallManifest(segments);
  manifest.programs[0].ranks[0].slices[0].offset = 1;
  Status status = writeArtifact(folder + "/m.lvn", manifest, segments);
  expectRefused(status, E::Internal, "LV3016");
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(ArtifactFile, NotThere) {
  auto artifact = Artifact::open(folder + "/absent.lvn");
  expectRefused(artifact.takeStatus(), E::ArtifactOpen, "cannot open");
}

TEST_F(ArtifactFile, IsFolder) {
  auto artifact = Artifact::open(folder);
  expectRefused(artifact.takeStatus(), E::ArtifactOpen, "a folder, not a file");
}

TEST_F(ArtifactFile, LargerThanAllowed) {
  ASSERT_TRUE(writeFile(folder + "/m.lvn", goodFile()).ok());
  OpenOptions options;
  options.maxFileBytes = 100;
  auto artifact = Artifact::open(folder + "/m.lvn", options);
  expectRefused(artifact.takeStatus(), E::ArtifactLimit, "the artifact is too large");
}

// --- signatures ----------------------------------------------------------------------------------

// The commands of docs/security.md.
TEST_F(ArtifactFile, Signature) {
  ASSERT_TRUE(writeFile(folder + "/m.lvn", goodFile()).ok());
  auto run = [&](const std::string &command) {
    return std::system(fmt::format("cd {} && {} 2>/dev/null", folder, command).c_str()) == 0;
  };
  ASSERT_TRUE(run("openssl genpkey -algorithm ed25519 -out key.pem"));
  ASSERT_TRUE(run("openssl pkey -in key.pem -pubout -out key.pub"));
  ASSERT_TRUE(run("openssl genpkey -algorithm ed25519 -out other.pem"));
  ASSERT_TRUE(run("openssl pkey -in other.pem -pubout -out other.pub"));
  OpenOptions options;
  options.requireSignature = folder + "/key.pub";
  std::string path = folder + "/m.lvn";
  expectRefused(Artifact::open(path, options).takeStatus(), E::ArtifactSignature, "cannot open");

  ASSERT_TRUE(run("head -c 128 m.lvn > header && "
                  "openssl pkeyutl -sign -inkey key.pem -rawin -in header -out m.lvn.sig"));
  auto artifact = Artifact::open(path, options);
  EXPECT_TRUE(artifact.ok()) << artifact.status().text();

  OpenOptions other;
  other.requireSignature = folder + "/other.pub";
  expectRefused(Artifact::open(path, other).takeStatus(), E::ArtifactSignature,
                "the signature does not match");
  other.requireSignature = folder + "/key.pem"; // the private half
  expectRefused(Artifact::open(path, other).takeStatus(), E::InputFile, "no Ed25519 public key");
  ASSERT_TRUE(writeFile(path + ".sig", "short").ok());
  expectRefused(Artifact::open(path, options).takeStatus(), E::ArtifactSignature,
                "is no Ed25519 signature");
}

// --- the header ----------------------------------------------------------------------------------

TEST(Header, Empty) { expectRefusedBytes("", E::ArtifactMagic, "no Levin artifact"); }
TEST(Header, OtherFile) {
  expectRefusedBytes(std::string(200, 'x'), E::ArtifactMagic, "no Levin artifact");
}
TEST(Header, TextMode) {
  std::string bytes = goodFile();
  bytes.erase(4, 1); // "\r\n" became "\n"
  expectRefusedBytes(bytes, E::ArtifactMagic, "copy in text mode");
}
TEST(Header, OnlyItsStart) {
  expectRefusedBytes(goodFile().substr(0, 100), E::ArtifactTruncated, "ends within its header");
}
TEST(Header, NewerMajor) {
  expectRefusedBytes(poked<uint16_t>(goodFile(), 8, 2), E::ArtifactVersion, "use a newer Levin");
}
TEST(Header, NewerMinorIsRead) { EXPECT_TRUE(parseText(poked<uint16_t>(goodFile(), 10, 7)).ok()); }
TEST(Header, Size) {
  expectRefusedBytes(poked<uint32_t>(goodFile(), 12, 64), E::ArtifactHeader, "have: 64 bytes");
}
TEST(Header, Truncated) {
  std::string bytes = goodFile();
  bytes.pop_back();
  expectRefusedBytes(bytes, E::ArtifactTruncated, "the artifact is shorter than");
}
TEST(Header, Longer) {
  expectRefusedBytes(goodFile() + "x", E::ArtifactTruncated, "the artifact is longer than");
}
TEST(Header, ManifestOffset) {
  expectRefusedBytes(poked<uint64_t>(goodFile(), 24, 120), E::ArtifactHeader, "byte 120");
}
TEST(Header, ManifestTooLarge) {
  expectRefusedBytes(poked<uint64_t>(goodFile(), 32, ~uint64_t(0)), E::ArtifactLimit,
                     "the manifest is too large");
}
TEST(Header, ManifestOutsideFile) {
  std::string bytes = poked<uint64_t>(goodFile(), 32, uint64_t(1) << 28);
  bytes = poked<uint64_t>(bytes, 40, (uint64_t(1) << 28) + 4096);
  expectRefusedBytes(bytes, E::ArtifactHeader, "the segments do not end with the file");
}
TEST(Header, SegmentsOffset) {
  expectRefusedBytes(poked<uint64_t>(goodFile(), 40, 4096 + 64), E::ArtifactHeader,
                     "the segments do not follow the manifest");
}
TEST(Header, SegmentsSizeWraps) {
  expectRefusedBytes(poked<uint64_t>(goodFile(), 48, ~uint64_t(0)), E::ArtifactHeader,
                     "the segments do not end with the file");
}
TEST(Header, UnknownFeature) {
  expectRefusedBytes(poked<uint64_t>(goodFile(), 56, 0x103), E::ArtifactFeature,
                     "0x100 is unknown");
}
TEST(Header, OtherFeatures) {
  expectRefusedBytes(poked<uint64_t>(goodFile(), 56, 1), E::ArtifactHeader,
                     "header and manifest state different features");
}
TEST(Header, Digest) {
  expectRefusedBytes(poked<uint8_t>(goodFile(), 64, 0), E::ArtifactDigest,
                     "the manifest does not match its digest");
}
TEST(Header, Reserved) {
  expectRefusedBytes(poked<uint8_t>(goodFile(), 127, 1), E::ArtifactHeader,
                     "reserved bytes are not zero");
}

// Every byte is covered: header, manifest, padding, segments.  A minor version is the only thing
// that may differ.
TEST(File, EveryByteMatters) {
  std::string bytes = goodFile();
  for (size_t i = 0; i < bytes.size(); i += i < 4096 ? 1 : 37) {
    if (i == 10 || i == 11)
      continue;
    bytes[i] ^= 0x20;
    EXPECT_FALSE(parseText(bytes).ok()) << "byte " << i;
    bytes[i] ^= 0x20;
  }
}

TEST(File, PaddingAfterManifest) {
  std::string bytes = goodFile();
  uint64_t manifestBytes, segments;
  std::memcpy(&manifestBytes, bytes.data() + 32, 8);
  std::memcpy(&segments, bytes.data() + 40, 8);
  ASSERT_LT(headerBytes + manifestBytes, segments);
  expectRefusedBytes(poked<uint8_t>(bytes, segments - 1, 1), E::ArtifactSegment,
                     "padding is not zero");
}

TEST(File, BytesAfterLastSegment) {
  std::vector<std::string> segments = goodSegments();
  Manifest manifest = smallManifest(segments);
  manifest.assets.clear();
  manifest.segments.pop_back();
  std::string bytes = serialiseUnchecked(manifest, segments);
  expectRefusedBytes(bytes, E::ArtifactSegment, "bytes after the last segment");
}

// --- the flatbuffer ------------------------------------------------------------------------------

// Runs `edit` on an encoded good manifest; the digest then fits again.
std::string edited(const std::function<void(const fb::Manifest &)> &edit) {
  Manifest manifest = smallManifest(goodSegments());
  manifest.features = 0; // as wrap() says; the edits below are refused before
  std::string bytes = encodeManifest(manifest);
  edit(*fb::GetManifest(bytes.data()));
  return wrap(bytes);
}

// The byte of a field, to be changed in place.
uint8_t &field(const void *table, flatbuffers::voffset_t offset) {
  auto *address = static_cast<const flatbuffers::Table *>(table)->GetAddressOf(offset);
  return *const_cast<uint8_t *>(address);
}

TEST(Flatbuffer, NotOne) {
  expectRefusedBytes(wrap(std::string(400, '\7')), E::ArtifactManifest, "no valid flatbuffer");
}
TEST(Flatbuffer, Empty) {
  expectRefusedBytes(wrap(""), E::ArtifactManifest, "no valid flatbuffer");
}
TEST(Flatbuffer, Identifier) {
  std::string bytes = encodeManifest({});
  bytes[5] = 'X';
  expectRefusedBytes(wrap(bytes), E::ArtifactManifest, "a 'LV01' of schema 1.0");
}
TEST(Flatbuffer, Version) {
  auto bytes = edited([](const fb::Manifest &m) { field(&m, fb::Manifest::VT_VERSION) = 2; });
  expectRefusedBytes(bytes, E::ArtifactVersion, "of another format than its header");
}
TEST(Flatbuffer, CommandTag) {
  auto bytes = edited([](const fb::Manifest &m) {
    const auto *item = m.programs()->Get(0)->ranks()->Get(0)->streams()->Get(0)->items()->Get(0);
    field(item, fb::Item::VT_COMMAND_TYPE) = 200;
  });
  expectRefusedBytes(bytes, E::ArtifactEnum,
                     "programs[0].ranks[0].streams[0].items[0].command: the kind of command");
}
TEST(Flatbuffer, SourceTag) {
  auto bytes = edited([](const fb::Manifest &m) {
    field(m.parameters()->Get(2), fb::Parameter::VT_SOURCE_TYPE) = 9;
  });
  expectRefusedBytes(bytes, E::ArtifactEnum, "parameters[2].source: the kind of source is unknown");
}
TEST(Flatbuffer, TruthValue) {
  auto bytes = edited([](const fb::Manifest &m) {
    const auto *written = m.executables()->Get(0)->exports()->Get(0)->written();
    const_cast<uint8_t &>(written->Data()[1]) = 3;
  });
  expectRefusedBytes(bytes, E::ArtifactEnum, "exports[0].written[1]: 3 is no truth value");
}
TEST(Flatbuffer, StructPadding) {
  auto bytes = edited([](const fb::Manifest &m) {
    const fb::Slice *slice = m.programs()->Get(0)->ranks()->Get(0)->slices()->Get(1);
    auto *address = reinterpret_cast<const uint8_t *>(slice) + sizeof *slice - 1;
    *const_cast<uint8_t *>(address) = 1;
  });
  expectRefusedBytes(bytes, E::ArtifactEnum, "slices[1]: padding is not zero");
}

// flatbuffers verifies that a vector lies inside, but not that its elements are aligned.
TEST(Flatbuffer, MisalignedStructs) {
  auto bytes = edited([](const fb::Manifest &m) {
    const auto *rank = m.programs()->Get(2)->ranks()->Get(0);
    // Four bytes on, where the first slice's offset becomes the length.
    const uint8_t &length = *reinterpret_cast<const uint8_t *>(rank->slices()->Get(0));
    const_cast<uint8_t &>(length) = 1;
    uint8_t &place = field(rank, fb::RankProgram::VT_SLICES);
    place = static_cast<uint8_t>(place + 4);
  });
  expectRefusedBytes(bytes, E::ArtifactManifest,
                     "programs[2].ranks[0].slices: the manifest is not");
}

// A file of 30 KB that stands for a million exports.
TEST(Flatbuffer, SharedTables) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<fb::Export>> exports(
      1000, fb::CreateExport(builder, builder.CreateString("kernel"),
                             builder.CreateVector(std::vector<bool>(8))));
  auto all = builder.CreateVector(exports);
  auto none = builder.CreateVector(std::vector<flatbuffers::Offset<fb::Variant>>());
  std::vector<flatbuffers::Offset<fb::Executable>> executables(
      1000, fb::CreateExecutable(builder, all, none));
  auto executable = builder.CreateVector(executables);
  auto programs = builder.CreateVector(std::vector<flatbuffers::Offset<fb::Program>>());
  auto entries = builder.CreateVector(std::vector<flatbuffers::Offset<fb::Entry>>());
  fb::Version version(formatMajor, formatMinor);
  fb::ManifestBuilder manifest(builder);
  manifest.add_version(&version);
  manifest.add_executables(executable);
  manifest.add_programs(programs);
  manifest.add_entries(entries);
  fb::FinishManifestBuffer(builder, manifest.Finish());
  std::string bytes(reinterpret_cast<const char *>(builder.GetBufferPointer()), builder.GetSize());
  EXPECT_LT(bytes.size(), 30000u);
  expectRefusedBytes(wrap(bytes), E::ArtifactLimit, "uses the same bytes many times");
}

} // namespace
} // namespace levin::artifact
