// Where in a manifest something is: "programs[0].ranks[0].streams[0].items[37]".
#ifndef LEVIN_RUNTIME_ARTIFACT_PATH_H
#define LEVIN_RUNTIME_ARTIFACT_PATH_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <limits>
#include <string>

namespace levin::artifact {

/// A field, or one element of it, within its parent.  Lives on the stack beside the loop that
/// walks the manifest; text is made only for a refusal.
class Path {
public:
  static constexpr uint64_t noIndex = std::numeric_limits<uint64_t>::max();

  explicit Path(const char *field, uint64_t index = noIndex) : field(field), index(index) {}
  Path(const Path &parent, const char *field, uint64_t index = noIndex)
      : parent(&parent), field(field), index(index) {}
  Path(const Path &) = delete;
  Path &operator=(const Path &) = delete;

  std::string text() const {
    std::string out = parent ? parent->text() + "." + field : std::string(field);
    return index == noIndex ? out : fmt::format("{}[{}]", out, index);
  }

  /// A refusal "<path>: <sentence>".
  template <typename... Args>
  Status refuse(ErrorCode code, fmt::format_string<Args...> format, Args &&...args) const {
    return Status(code, text() + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

private:
  const Path *parent = nullptr;
  const char *field;
  uint64_t index;
};

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_PATH_H
