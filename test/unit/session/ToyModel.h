// A small model whose artifact is made by hand and whose results are computed again in plain C++.
//
// state = state / 2 + embedding[id];  logits = head * (state + position / 1000)
#ifndef LEVIN_TEST_UNIT_SESSION_TOYMODEL_H
#define LEVIN_TEST_UNIT_SESSION_TOYMODEL_H

#include "runtime/artifact/Manifest.h"
#include "runtime/session/Session.h"

#include <cstdint>
#include <string>
#include <vector>

namespace levin::toy {

inline constexpr uint64_t width = 4, vocabulary = 11, panel = 4, slots = 5, maxContext = 2000;

/// A folder that is removed with all that is in it.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  const std::string &path() const { return folder; }

private:
  std::string folder;
};

/// Row-major [vocabulary, width]; the values are exact in bf16.
std::vector<float> embedding();
std::vector<float> head();

/// Logits [tokens, vocabulary] of every position.
std::vector<float> reference(std::span<const int32_t> tokens);
/// The greedy continuation of `prompt`.
std::vector<int32_t> greedy(std::vector<int32_t> prompt, size_t count);

/// Variants of the toy model.
struct Kind {
  bool cuda = false;  // for GPUs, by code that only the test's own driver can run
  uint64_t pages = 0; // not 0: instead of the state, the tokens are kept, in pages
};
inline constexpr uint64_t pageTokens = 8, blocksOfContext = (maxContext + 7) / 8;

/// What an artifact of the toy model holds: step entries of the given buckets and the plain entry
/// "affine" (x[24] -> y[24]).  The weight file is "toy.safetensors".
artifact::Manifest manifest(std::span<const Bucket> buckets, const Kind &kind = {});
std::vector<std::string> segments(const Kind &kind = {});
/// Writes the weight file and fills the manifest's description of it.
void writeWeights(const std::string &folder, artifact::Manifest &manifest);

/// Writes `folder`/toy.lvn and its weights; the path of the artifact.
std::string write(const std::string &folder, std::span<const Bucket> buckets,
                  const Kind &kind = {});

/// The machine code of toy_kernels.c.
std::string code();

} // namespace levin::toy

#endif // LEVIN_TEST_UNIT_SESSION_TOYMODEL_H
