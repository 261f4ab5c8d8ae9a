#include "tools/common/Progress.h"

#include "runtime/base/Json.h"
#include "tools/common/Format.h"

#include <unistd.h>

#include <algorithm>

namespace levin::tool {

// How often the bar (or a JSON event) is renewed.
static constexpr auto redrawInterval = std::chrono::milliseconds(100);
static constexpr int barWidth = 20;
static constexpr const char *clearLine = "\r\x1b[K";

Progress::Progress(ProgressMode mode) : mode(mode) {
  if (mode == ProgressMode::Auto)
    this->mode = ::isatty(STDERR_FILENO) ? ProgressMode::Bar : ProgressMode::Lines;
}

Progress::~Progress() { end(); }

double Progress::elapsed() const {
  return std::chrono::duration<double>(Clock::now() - started).count();
}

void Progress::print(std::string_view text) {
  // Nothing can be done about a stderr that cannot be written.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

void Progress::begin(std::string_view name, uint64_t amount, Unit amountUnit) {
  std::lock_guard lock(mutex);
  endLocked({});
  phase = name;
  what.clear();
  done = 0;
  total = amount;
  unit = amountUnit;
  running = true;
  started = Clock::now();
  drawn = {};
  draw();
}

void Progress::expect(uint64_t amount, Unit amountUnit) {
  std::lock_guard lock(mutex);
  total = amount;
  unit = amountUnit;
}

void Progress::update(uint64_t amount, std::string_view on) {
  std::lock_guard lock(mutex);
  if (!running)
    return;
  done = amount;
  what = on;
  if (Clock::now() - drawn >= redrawInterval)
    draw();
}

void Progress::end(std::string_view summary) {
  std::lock_guard lock(mutex);
  endLocked(summary);
}

void Progress::note(std::string_view line) {
  std::lock_guard lock(mutex);
  switch (mode) {
  case ProgressMode::Off:
    return;
  case ProgressMode::Json:
    return print(
        Json{{"note", std::string(line)}}.dump(-1, ' ', false, Json::error_handler_t::replace) +
        "\n");
  case ProgressMode::Bar:
    print(running ? clearLine : "");
    [[fallthrough]];
  default:
    print(std::string(line) + "\n");
  }
  if (running)
    draw();
}

void Progress::endLocked(std::string_view summary) {
  if (!running)
    return;
  running = false;
  if (mode == ProgressMode::Json)
    return print(
        Json{{"phase", phase}, {"summary", std::string(summary)}, {"seconds", elapsed()}}.dump(
            -1, ' ', false, Json::error_handler_t::replace) +
        "\n");
  if (mode != ProgressMode::Bar && mode != ProgressMode::Lines)
    return;
  print(fmt::format("{}{:<9}{:<75} {:>10}\n", mode == ProgressMode::Bar ? clearLine : "", phase,
                    summary, humanSeconds(elapsed())));
}

/// "41/80" or "1.2 GiB/3.4 GiB, 800.0 MiB/s".
static std::string amounts(uint64_t done, uint64_t total, Progress::Unit unit, double seconds) {
  if (unit == Progress::Unit::Items)
    return fmt::format("{}/{}", done, total);
  double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  return fmt::format("{}/{}, {}/s", humanBytes(done), humanBytes(total),
                     humanBytes(static_cast<uint64_t>(rate)));
}

void Progress::draw() {
  if (mode != ProgressMode::Bar && mode != ProgressMode::Json)
    return;
  drawn = Clock::now();
  double seconds = elapsed();
  if (mode == ProgressMode::Json)
    return print(
        Json{{"phase", phase}, {"done", done}, {"total", total}, {"seconds", seconds}}.dump(
            -1, ' ', false, Json::error_handler_t::replace) +
        "\n");
  if (total == 0)
    return print(fmt::format("{}{:<9}{:<60.60} {}", clearLine, phase, what, humanSeconds(seconds)));
  double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  int filled = static_cast<int>(part * barWidth);
  std::string left = part > 0.01 ? " left " + humanSeconds(seconds / part - seconds) : "";
  print(fmt::format("{}{:<9}[{:#<{}}{:-<{}}] {} {:.30}  {}{}", clearLine, phase, "", filled, "",
                    barWidth - filled, amounts(done, total, unit, seconds), what,
                    humanSeconds(seconds), left));
}

} // namespace levin::tool
