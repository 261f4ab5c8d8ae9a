#include "tools/levin-compile/WeightsLink.h"

#include <filesystem>

namespace levin::compile {

namespace fs = std::filesystem;

Status linkWeights(const std::string &artifact, const std::string &folder) {
  std::error_code error;
  fs::path home = fs::canonical(folder, error);
  fs::path own = error ? fs::path() : fs::canonical(fs::absolute(artifact).parent_path(), error);
  fs::path link = artifact + ".weights", temporary = link.string() + ".new";
  bool isOurs = !error && (fs::is_symlink(fs::symlink_status(link)) || !fs::exists(link));
  if (!error && home == own) {
    // A link from an earlier compilation would win nothing but confusion.
    if (fs::is_symlink(fs::symlink_status(link)))
      fs::remove(link, error);
    return {};
  }
  if (!error && !isOurs)
    return makeError(ErrorCode::OutputFile, "'{}' exists and is no link", link.string())
        .note("fix", "remove it, or write the artifact elsewhere with -o");
  if (!error) {
    std::error_code absent;
    fs::remove(temporary, absent);
    fs::create_directory_symlink(home, temporary, error);
  }
  if (!error)
    fs::rename(temporary, link, error);
  if (error)
    return makeError(ErrorCode::OutputFile, "the link '{}' to the weights cannot be made",
                     link.string())
        .note("have", error.message());
  return {};
}

} // namespace levin::compile
