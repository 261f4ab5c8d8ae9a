// Helpers of the tests that damage the small artifact.
#ifndef LEVIN_TEST_CORRUPT_REFUSAL_H
#define LEVIN_TEST_CORRUPT_REFUSAL_H

#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/Write.h"
#include "runtime/base/File.h"
#include "test/corrupt/SmallArtifact.h"

#include <gtest/gtest.h>

#include <functional>
#include <ostream>

namespace levin::artifact {

/// The shared object `name` of test/corrupt/CMakeLists.txt.
inline std::string testCode(const std::string &name) {
  auto code = readFile(fmt::format("{}/{}.so", LEVIN_TEST_CODE, name));
  EXPECT_TRUE(code.ok()) << code.status().text();
  return code.ok() ? std::move(*code) : std::string();
}

inline Result<Artifact> parseText(const std::string &bytes) {
  return Artifact::parse(std::as_bytes(std::span(bytes)));
}

inline void expectRefused(const Status &status, ErrorCode code, const std::string &fragment) {
  ASSERT_FALSE(status.ok()) << "accepted, expected: " << fragment;
  EXPECT_EQ(status.number(), static_cast<int>(code)) << status.text();
  EXPECT_NE(status.text().find(fragment), std::string::npos) << status.text();
}

/// One way to damage the manifest, and how it must be refused.
struct Corruption {
  const char *name;
  ErrorCode code;
  const char *fragment;
  std::function<void(Manifest &)> damage;
};

/// How gtest shows the parameter of a test.
inline void PrintTo(const Corruption &corruption, std::ostream *out) { *out << corruption.name; }

inline void expectRefused(const Corruption &corruption) {
  SCOPED_TRACE(corruption.name);
  std::vector<std::string> segments = smallSegments(testCode("good"));
  Manifest manifest = smallManifest(segments);
  corruption.damage(manifest);
  auto artifact = parseText(serialiseUnchecked(manifest, segments));
  expectRefused(artifact.ok() ? Status() : artifact.takeStatus(), corruption.code,
                corruption.fragment);
}

} // namespace levin::artifact

#endif // LEVIN_TEST_CORRUPT_REFUSAL_H
