// The safetensors files that an artifact refers to: found, opened, compared with what was compiled.
#ifndef LEVIN_RUNTIME_SESSION_WEIGHTFILES_H
#define LEVIN_RUNTIME_SESSION_WEIGHTFILES_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"
#include "runtime/weights/Safetensors.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace levin {

/// The folders in which weights of the artifact at `path` are looked for if the user names none:
/// the artifact's own, then "<path>.weights".
std::vector<std::string> defaultWeightFolders(const std::string &path);

class WeightFiles {
public:
  /// Opens the file of each row of `files` in the first of `folders` that has one of that name and
  /// size, and reads its header.
  /// Failures: LV1016 if one is nowhere, LV1017 if only others of its name are there, LV1010 if its
  /// header is malformed.
  static Result<WeightFiles> open(std::span<const artifact::WeightFile> files,
                                  std::span<const std::string> folders);

  /// Finds the tensor of `piece` and compares its type and shape.
  /// Failures: LV1012 absent, LV1014 another shape, LV1015 another type.
  Result<const weights::TensorInfo *> find(const artifact::Piece &piece) const;

  const File &file(uint32_t index) const { return opened[index].file(); }
  size_t count() const { return opened.size(); }

  /// Reads all of file `index` and compares its SHA-256 with `expected`; LV1017 if it is another.
  /// `onBytes` hears of every piece read; answering false ends the check without failure.
  Status verifyDigest(uint32_t index, const artifact::WeightFile &expected,
                      const std::function<bool(uint64_t bytes)> &onBytes) const;

private:
  std::vector<weights::Safetensors> opened;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_WEIGHTFILES_H
