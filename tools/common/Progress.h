// What a tool is doing, on stderr, while it does it.
//
// On a terminal the running phase is a bar that ends as a line; elsewhere there is one line for
// each phase.  `--progress=json` prints one object for each event.
#ifndef LEVIN_TOOLS_COMMON_PROGRESS_H
#define LEVIN_TOOLS_COMMON_PROGRESS_H

#include "runtime/base/Status.h"

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace levin::tool {

enum class ProgressMode { Auto, Bar, Lines, Json, Off };

/// Phases one after the other.  Every member may be called from any thread.
class Progress {
public:
  enum class Unit { Items, Bytes };

  /// Auto is Bar if stderr is a terminal, else Lines.
  explicit Progress(ProgressMode mode = ProgressMode::Auto);
  /// Ends a running phase.
  ~Progress();

  /// Starts a phase, ending the one before.  `total` is 0 if the amount of work is not known.
  void begin(std::string_view phase, uint64_t total = 0, Unit unit = Unit::Items);
  /// Tells the total of the running phase once it is known.
  void expect(uint64_t total, Unit unit = Unit::Items);
  /// Tells that `done` of the total is done, and on what the work is.
  void update(uint64_t done, std::string_view what = {});
  /// Ends the phase; `summary` says what came out ("minimax: 80 layers").
  void end(std::string_view summary = {});
  /// Prints a line between phases.
  void note(std::string_view line);

private:
  using Clock = std::chrono::steady_clock;
  void draw();
  void print(std::string_view text);
  void endLocked(std::string_view summary);
  double elapsed() const;

  ProgressMode mode;
  std::mutex mutex;
  bool running = false;
  std::string phase, what;
  uint64_t done = 0, total = 0;
  Unit unit = Unit::Items;
  Clock::time_point started, drawn;
};

} // namespace levin::tool

#endif // LEVIN_TOOLS_COMMON_PROGRESS_H
