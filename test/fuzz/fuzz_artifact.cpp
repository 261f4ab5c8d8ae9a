// Whatever a file holds, reading it ends: in a refusal, or in a manifest that all users can trust.
#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/Check.h"
#include "runtime/artifact/Write.h"
#include "test/fuzz/MutateArtifact.h"
#include "tools/levin-inspect/Inspect.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace levin;
using namespace levin::artifact;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

static void require(bool condition, const char *what) {
  if (condition)
    return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto artifact = Artifact::parse(std::as_bytes(std::span(data, size)));
  if (!artifact.ok()) {
    require(artifact.status().exitStatus() == 3, "a refusal is numbered LV3xxx");
    return 0;
  }
  // What is accepted can be shown, written, and read as the same again.
  for (const std::string &section : inspect::sectionNames())
    inspect::sectionAsJson(*artifact, section);
  std::vector<std::string> segments;
  for (uint32_t i = 0; i < artifact->manifest().segments.size(); ++i) {
    auto bytes = artifact->segmentBytes(i);
    segments.emplace_back(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  }
  auto file = serialise(artifact->manifest(), segments);
  require(file.ok(), "what was read can be written");
  auto again = Artifact::parse(std::as_bytes(std::span(*file)));
  require(again.ok(), "what was written can be read");
  for (size_t i = 0; i < again->manifest().segments.size(); ++i)
    require(again->manifest().segments[i].digest == artifact->manifest().segments[i].digest,
            "segments stay the same");
  require(again->manifest().entries == artifact->manifest().entries, "entries stay the same");
  require(again->manifest().programs == artifact->manifest().programs, "programs stay the same");
  return 0;
}

static std::string mutate(std::string file, size_t maxSize, std::mt19937 &random) {
  unsigned way = random() % 10;
  auto raw = [&](std::string bytes, size_t most) {
    size_t size = bytes.size();
    bytes.resize(std::max(size, most));
    bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(bytes.data()), size, most));
    return bytes;
  };
  if (way == 0)
    return raw(std::move(file), maxSize);
  auto parts = takeApart(file);
  if (!parts)
    return raw(std::move(file), maxSize);
  if (way <= 2) { // bytes of the flatbuffer, with a digest that fits
    auto *data = reinterpret_cast<uint8_t *>(file.data());
    uint64_t manifestBytes = 0;
    std::memcpy(&manifestBytes, data + 32, 8);
    std::string manifest = raw(file.substr(headerBytes, manifestBytes), manifestBytes);
    std::memcpy(data + headerBytes, manifest.data(), manifest.size());
    fixDigest(file);
    return file;
  }
  if (way == 3 && !parts->segments.empty()) { // bytes of a segment
    std::string &segment = parts->segments[random() % parts->segments.size()];
    segment = raw(segment, segment.size() + 8);
    placeSegments(parts->manifest, parts->segments);
  } else {
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits)
      mutateField(parts->manifest, random);
    if (random() % 2)
      placeSegments(parts->manifest, parts->segments);
  }
  return serialiseUnchecked(parts->manifest, parts->segments);
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize,
                                          unsigned seed) {
  std::mt19937 random(seed);
  std::string mutated = mutate(std::string(reinterpret_cast<char *>(data), size), maxSize, random);
  if (mutated.size() > maxSize)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::memcpy(data, mutated.data(), mutated.size());
  return mutated.size();
}
