// The tensors of a model folder: what the safetensors headers or the index say is there, and the
// comparison with what a model needs.
#ifndef LEVIN_MODELS_CHECKPOINT_H
#define LEVIN_MODELS_CHECKPOINT_H

#include "runtime/base/Status.h"
#include "runtime/weights/DType.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace levin::models {

struct StoredTensor {
  uint32_t file = 0; // place in Checkpoint::files
  weights::DType dtype = weights::DType::F32;
  std::vector<uint64_t> shape; // row-major; empty and meaningless when only the index was read
};

struct Checkpoint {
  std::vector<std::string> files; // names within the folder, sorted
  std::map<std::string, StoredTensor> tensors;
  /// False when the weight files are absent and the names come from the index alone.
  bool headersRead = true;
  std::vector<std::string> notes;

  const StoredTensor *find(std::string_view name) const;
};

/// The name of the index of a checkpoint of several files.
inline constexpr std::string_view indexName = "model.safetensors.index.json";

/// Reads the index if there is one, else every *.safetensors file that is no golden data; and the
/// headers of the files.  With `requireFiles` absent files are a failure; otherwise an index whose
/// files are all absent is enough.
/// Failures: LV1001 without weights, LV1010 for a malformed file, LV1011 for an index that is
/// malformed, names an absent file or disagrees with a file, LV1013 for a name in two files.
Result<Checkpoint> readCheckpoint(const std::string &folder, bool requireFiles);

/// The same from the text of an index, without looking for the files.
Result<Checkpoint> parseIndex(std::string_view text);

/// A tensor that a model needs.
struct ExpectedTensor {
  std::string name;
  std::vector<uint64_t> shape;
};

/// Compares names (LV1012, LV1013), then shapes (LV1014) and types (LV1015) if headers were read.
/// `ignored` says of an unexpected name that it is known and not needed; such names become a note
/// in `notes`.  The first ten of every list are named.
Status checkTensors(const Checkpoint &checkpoint, const std::vector<ExpectedTensor> &expected,
                    const std::function<bool(std::string_view)> &ignored,
                    std::vector<std::string> &notes);

} // namespace levin::models

#endif // LEVIN_MODELS_CHECKPOINT_H
