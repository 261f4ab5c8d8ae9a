#include "tools/common/Report.h"

#include "runtime/base/Json.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace levin::tool {

/// Writes all of `text`; returns 0 or errno.
static int writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t done = ::write(fd, text.data(), text.size());
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return errno;
    text.remove_prefix(static_cast<size_t>(done));
  }
  return 0;
}

static std::string jsonLine(const Json &object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

int reportStatus(const Status &status, bool json) {
  if (status.ok())
    return 0;
  std::string text = status.text();
  if (json) {
    Json object = {{"error", fmt::format("LV{:04}", status.number())},
                   {"summary", status.what()},
                   {"text", text}};
    text = jsonLine(object);
  }
  writeAll(STDERR_FILENO, text);
  return status.exitStatus();
}

void reportWarning(std::string_view text, bool json) {
  writeAll(STDERR_FILENO,
           json ? jsonLine({{"warning", std::string(text)}}) : fmt::format("warning: {}\n", text));
}

void Output::write(std::string_view text) {
  if (error != 0)
    return;
  buffer += text;
  if (buffer.size() >= (size_t(1) << 16))
    flush();
}

void Output::flush() {
  if (error == 0 && !buffer.empty())
    error = writeAll(STDOUT_FILENO, buffer);
  buffer.clear();
}

Status Output::finish() {
  flush();
  if (error == 0)
    return {};
  return makeError(ErrorCode::OutputFile, "cannot write to standard output: {}",
                   std::generic_category().message(error));
}

} // namespace levin::tool
