#include "test/fuzz/MutateArtifact.h"

#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/ReadManifest.h"
#include "runtime/base/Checked.h"
#include "test/fuzz/Fields.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace levin::artifact {

namespace {

Result<Header> headerOf(const std::string &file) {
  auto *bytes = reinterpret_cast<const uint8_t *>(file.data());
  return decodeHeader({bytes, std::min<size_t>(file.size(), headerBytes)}, file.size());
}

// Changes the field that is visited after `countdown` others.
class Mutator {
public:
  Mutator(size_t countdown, std::vector<uint64_t> values, std::mt19937 &random)
      : countdown(countdown), values(std::move(values)), random(random) {}

  template <typename T> void operator()(T &field) {
    if (countdown-- == 0)
      change(field);
  }

private:
  size_t below(size_t count) { return random() % count; }

  template <typename T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void change(T &field) {
    uint64_t value = static_cast<uint64_t>(field);
    switch (below(8)) {
    case 0:
      value += 1;
      break;
    case 1:
      value -= 1;
      break;
    case 2:
      value = below(8);
      break;
    case 3:
      value ^= uint64_t(1) << below(64);
      break;
    case 4:
      value = std::numeric_limits<uint64_t>::max() - below(128);
      break;
    case 5:
      value = (value + 64) & ~uint64_t(63);
      break;
    default: // what another field has often fits
      value = values[below(values.size())];
    }
    field = static_cast<T>(value);
  }

  void change(std::string &text) {
    if (text.empty() || below(4) == 0)
      text += static_cast<char>(random());
    else if (below(3) == 0)
      text.pop_back();
    else
      text[below(text.size())] = static_cast<char>(random());
  }

  void change(std::vector<bool> &flags) {
    if (flags.empty() || below(4) == 0)
      flags.push_back(below(2));
    else if (below(3) == 0)
      flags.pop_back();
    else
      flags[below(flags.size())].flip();
  }

  template <typename T> void change(std::vector<T> &elements) {
    if (elements.empty() || below(8) == 0) {
      elements.emplace_back();
      return;
    }
    size_t at = below(elements.size()), other = below(elements.size());
    switch (below(4)) {
    case 0:
      elements.erase(elements.begin() + at);
      break;
    case 1:
      elements.push_back(T(elements[at]));
      break;
    case 2:
      elements[other] = T(elements[at]);
      break;
    default:
      std::swap(elements[at], elements[other]);
    }
  }

  template <typename T> void change(std::optional<T> &value) {
    if (value)
      value.reset();
    else
      value = static_cast<T>(values[below(values.size())]);
  }

  void change(std::variant<Pieces, SegmentBytes> &source) {
    if (source.index() == 0)
      source = SegmentBytes{1, 0, 16};
    else
      source = Pieces{Join::Stack, {{0, "k", DType::F32, {4}, {}, {}}}};
  }

  void change(std::variant<Launch, Copy> &command) {
    if (command.index() == 0)
      command = Copy{{0, 16, 1}, {0, 16, 2}};
    else
      command = Launch{0, 0, {1, 1, 1}, {{0, 16, 0}, {0, 16, 1}}};
  }

  size_t countdown;
  std::vector<uint64_t> values;
  std::mt19937 &random;
};

// Counts fields and collects their numbers.
struct Collector {
  template <typename T> void operator()(T &field) {
    ++*count;
    if constexpr (std::is_integral_v<T> || std::is_enum_v<T>)
      values->push_back(static_cast<uint64_t>(field));
  }
  size_t *count;
  std::vector<uint64_t> *values;
};

} // namespace

std::optional<Parts> takeApart(const std::string &file) {
  auto header = headerOf(file);
  if (!header.ok())
    return std::nullopt;
  // The flatbuffer is read where it is aligned.
  std::vector<uint64_t> aligned(header->manifestBytes / 8 + 1);
  std::memcpy(aligned.data(), file.data() + header->manifestOffset, header->manifestBytes);
  auto *bytes = reinterpret_cast<const uint8_t *>(aligned.data());
  auto manifest = readManifest({bytes, static_cast<size_t>(header->manifestBytes)});
  if (!manifest.ok())
    return std::nullopt;
  Parts parts{std::move(*manifest), {}};
  for (const Segment &segment : parts.manifest.segments) {
    bool fits = fitsWithin(segment.offset, segment.size, header->segmentsBytes);
    parts.segments.push_back(
        fits ? file.substr(header->segmentsOffset + segment.offset, segment.size) : "");
  }
  return parts;
}

void mutateField(Manifest &manifest, std::mt19937 &random) {
  size_t count = 0;
  std::vector<uint64_t> values;
  Walker(Collector{&count, &values}).walk(manifest);
  size_t chosen = random() % count;
  Mutator mutator(chosen, std::move(values), random);
  // By reference: the walker copies what it calls.
  auto visit = [&](auto &field) { mutator(field); };
  Walker(visit).walk(manifest);
}

void fixDigest(std::string &file) {
  auto header = headerOf(file);
  if (!header.ok())
    return;
  header->manifestDigest = sha256(file.data() + header->manifestOffset, header->manifestBytes);
  HeaderBytes bytes = encode(*header);
  std::memcpy(file.data(), bytes.data(), bytes.size());
}

} // namespace levin::artifact
