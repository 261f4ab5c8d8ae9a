// How a tool speaks: failures on stderr, results on stdout.
#ifndef LEVIN_TOOLS_COMMON_REPORT_H
#define LEVIN_TOOLS_COMMON_REPORT_H

#include "runtime/base/Status.h"

#include <string>
#include <string_view>

namespace levin::tool {

/// Prints a failure on stderr, as text or (`json`) as one object on one line with the keys
/// "error" ("LV2001"), "summary" and "text" (all lines); prints nothing if `status` is fine.
/// Returns the exit status.
int reportStatus(const Status &status, bool json = false);

/// Prints "warning: <text>" (or an object with the key "warning") on stderr.
void reportWarning(std::string_view text, bool json = false);

/// Standard output that notices when it cannot be written, for example because the reader of a
/// pipe has gone.  What is written after a failure is dropped; finish() tells.
class Output {
public:
  Output() = default;
  Output(const Output &) = delete;
  Output &operator=(const Output &) = delete;
  ~Output() { flush(); }

  void write(std::string_view text);
  template <typename... Args> void print(fmt::format_string<Args...> format, Args &&...args) {
    write(fmt::format(format, std::forward<Args>(args)...));
  }
  /// Hands all bytes to the system, as for text that is streamed.
  void flush();
  /// Whether writing still makes sense.
  bool good() const { return error == 0; }
  /// Flushes; LV2004 if any byte could not be written.
  Status finish();

private:
  std::string buffer;
  int error = 0;
};

} // namespace levin::tool

#endif // LEVIN_TOOLS_COMMON_REPORT_H
