#include "tools/levin-bench/Print.h"

#include "tools/common/Format.h"

#include <algorithm>
#include <map>

namespace levin::bench {

static const artifact::Export &exportOf(const artifact::Manifest &manifest,
                                        const artifact::Launch &launch) {
  return manifest.executables[launch.executable].exports[launch.exportIndex];
}

KernelTable makeKernelTable(const artifact::Manifest &manifest, const Case &wanted,
                            const PlannedRun &run, const std::vector<LaunchTime> &launches) {
  WorkCounter counter(manifest, *run.entry);
  std::map<std::string, KernelRow> byName;
  for (const LaunchTime &time : launches) {
    const std::string &name = exportOf(manifest, *time.launch).name;
    KernelRow &row = byName[name];
    row.name = name;
    ++row.launches;
    row.seconds.low += time.seconds.low;
    row.seconds.high += time.seconds.high;
    row.total += time.seconds.median;
    row.work += counter.launch(*time.launch, run.shape);
  }
  KernelTable table{wanted.title(), run.entry->name, {}};
  for (auto &[name, row] : byName) {
    double count = static_cast<double>(row.launches);
    row.seconds = {row.total / count, row.seconds.low / count, row.seconds.high / count};
    table.rows.push_back(row);
  }
  std::ranges::sort(table.rows, [](const KernelRow &a, const KernelRow &b) {
    return a.total != b.total ? a.total > b.total : a.name < b.name;
  });
  return table;
}

// --- Cells ---------------------------------------------------------------------------------------

/// Three digits: "1.23 ms".
static std::string timeText(double seconds) {
  double value = seconds * 1e6;
  const char *unit = "us";
  if (value >= 1e6)
    value *= 1e-6, unit = "s";
  else if (value >= 1e3)
    value *= 1e-3, unit = "ms";
  int digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, digits, unit);
}

/// Powers of 1000: "12.3 GB".
static std::string amountText(double amount, std::string_view unit) {
  static constexpr const char *prefixes[] = {"", "k", "M", "G", "T", "P"};
  size_t prefix = 0;
  while (amount >= 999.5 && prefix + 1 < std::size(prefixes))
    amount *= 1e-3, ++prefix;
  int digits = prefix == 0 || amount >= 100 ? 0 : amount >= 10 ? 1 : 2;
  return fmt::format("{:.{}f} {}{}", amount, digits, prefixes[prefix], unit);
}

static std::string rateText(double tokensPerSecond) {
  return fmt::format("{:.{}f}", tokensPerSecond, tokensPerSecond < 100 ? 2 : 0);
}

static std::string shareText(double amount, double seconds, double ceiling) {
  if (ceiling <= 0 || seconds <= 0)
    return "";
  return fmt::format("{:.1f} %", 100 * amount / seconds / ceiling);
}

/// -10 % +20 %: how far the 10th and 90th percentile lie from the median.
static std::string spreadText(const Spread &spread) {
  if (spread.median <= 0)
    return "";
  return fmt::format("{:+.1f} {:+.1f} %", 100 * (spread.low / spread.median - 1),
                     100 * (spread.high / spread.median - 1));
}

namespace {
struct Table {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows;

  std::string markdown() const;
};
} // namespace

std::string Table::markdown() const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < titles.size(); ++c) {
    size_t width = std::max<size_t>(titles[c].size(), 3);
    for (const auto &row : rows)
      width = std::max(width, row[c].size());
    widths.push_back(width);
  }
  std::string text;
  auto line = [&](auto &&cell) {
    text += "|";
    for (size_t c = 0; c < titles.size(); ++c)
      text += " " + cell(c) + " |";
    text += "\n";
  };
  line([&](size_t c) { return fmt::format("{:<{}}", titles[c], widths[c]); });
  line([&](size_t c) { return std::string(widths[c] - (c > 0), '-') + (c > 0 ? ":" : ""); });
  for (const auto &row : rows)
    line([&](size_t c) {
      return c == 0 ? fmt::format("{:<{}}", row[c], widths[c])
                    : fmt::format("{:>{}}", row[c], widths[c]);
    });
  return text;
}

/// Leaves out columns that are empty in every row.
static void dropEmptyColumns(Table &table) {
  for (size_t c = table.titles.size(); c-- > 0;) {
    if (std::ranges::any_of(table.rows, [&](const auto &row) { return !row[c].empty(); }))
      continue;
    table.titles.erase(table.titles.begin() + static_cast<ptrdiff_t>(c));
    for (auto &row : table.rows)
      row.erase(row.begin() + static_cast<ptrdiff_t>(c));
  }
}

static Table rowTable(const Results &results) {
  Table table{
      {"test", "time/step", "10-90 %", "tok/s", "needs", "FLOP", "of copy", "of GEMM", "runs"}, {}};
  for (const Measured &row : results.rows) {
    double seconds = row.seconds.median;
    table.rows.push_back({row.wanted.title(), timeText(seconds), spreadText(row.seconds),
                          rateText(static_cast<double>(row.wanted.tokensPerStep()) / seconds),
                          amountText(row.work.bytes(), "B"), amountText(row.work.flops, "FLOP"),
                          shareText(row.work.bytes(), seconds, results.ceilings.bytesPerSecond),
                          shareText(row.work.flops, seconds, results.ceilings.flopsPerSecond),
                          std::to_string(row.runs)});
  }
  dropEmptyColumns(table);
  return table;
}

static double totalOf(const KernelTable &kernels) {
  double total = 0;
  for (const KernelRow &row : kernels.rows)
    total += row.total;
  return total;
}

static Table kernelTable(const KernelTable &kernels, const Ceilings &ceilings) {
  double all = totalOf(kernels);
  Table table{
      {"kernel", "launches", "each", "10-90 %", "all", "share", "needs", "of copy", "of GEMM"}, {}};
  for (const KernelRow &row : kernels.rows)
    table.rows.push_back(
        {row.name, std::to_string(row.launches), timeText(row.seconds.median),
         spreadText(row.seconds), timeText(row.total),
         fmt::format("{:.1f} %", all > 0 ? 100 * row.total / all : 0),
         amountText(row.work.bytes(), "B"),
         shareText(row.work.bytes(), row.total, ceilings.bytesPerSecond),
         row.work.flops > 0 ? shareText(row.work.flops, row.total, ceilings.flopsPerSecond) : ""});
  dropEmptyColumns(table);
  return table;
}

std::string markdown(const Results &results) {
  std::string text;
  for (const auto &[name, value] : results.header)
    text += fmt::format("{}: {}\n", name, value);
  if (results.ceilings.bytesPerSecond > 0)
    text += fmt::format("copy: {}/s, read and written\n",
                        amountText(results.ceilings.bytesPerSecond, "B"));
  if (results.ceilings.flopsPerSecond > 0)
    text += fmt::format("bf16 GEMM: {}/s\n", amountText(results.ceilings.flopsPerSecond, "FLOP"));
  text += "\n" + rowTable(results).markdown();
  for (const KernelTable &kernels : results.kernels)
    text +=
        fmt::format("\nkernels of {}, first run of {}: {}\n\n{}", kernels.entry, kernels.title,
                    timeText(totalOf(kernels)), kernelTable(kernels, results.ceilings).markdown());
  return text;
}

// --- CSV and JSON --------------------------------------------------------------------------------

/// A cell of CSV; quotes double where they are needed.
static std::string quoted(const std::string &text) {
  if (text.find_first_of(",\"\n") == text.npos)
    return text;
  std::string result = "\"";
  for (char c : text)
    result += c == '"' ? "\"\"" : std::string(1, c);
  return result + "\"";
}

std::string csv(const Results &results) {
  std::string text = "test,seconds,seconds_10,seconds_90,tokens_per_second,bytes,flops,"
                     "copy_bytes_per_second,gemm_flops_per_second,runs\n";
  for (const Measured &row : results.rows)
    text += fmt::format(
        "{},{:.9g},{:.9g},{:.9g},{:.6g},{:.0f},{:.0f},{:.6g},{:.6g},{}\n",
        quoted(row.wanted.title()), row.seconds.median, row.seconds.low, row.seconds.high,
        static_cast<double>(row.wanted.tokensPerStep()) / row.seconds.median, row.work.bytes(),
        row.work.flops, results.ceilings.bytesPerSecond, results.ceilings.flopsPerSecond, row.runs);
  if (!results.kernels.empty())
    text += "\ntest,entry,kernel,launches,seconds,seconds_10,seconds_90,bytes,flops\n";
  for (const KernelTable &kernels : results.kernels)
    for (const KernelRow &row : kernels.rows)
      text +=
          fmt::format("{},{},{},{},{:.9g},{:.9g},{:.9g},{:.0f},{:.0f}\n", quoted(kernels.title),
                      kernels.entry, row.name, row.launches, row.seconds.median, row.seconds.low,
                      row.seconds.high, row.work.bytes() / static_cast<double>(row.launches),
                      row.work.flops / static_cast<double>(row.launches));
  return text;
}

static Json workJson(const Work &work) {
  return {{"parameter_bytes", work.parameters},
          {"state_bytes", work.state},
          {"cache_bytes", work.cache},
          {"activation_bytes", work.activations},
          {"bytes", work.bytes()},
          {"flops", work.flops}};
}

static Json spreadJson(const Spread &spread) {
  return {{"median", spread.median}, {"p10", spread.low}, {"p90", spread.high}};
}

Json json(const Results &results) {
  Json object = Json::object(), rows = Json::array(), tables = Json::array();
  for (const auto &[name, value] : results.header)
    object["header"][name] = value;
  object["ceilings"] = {{"copy_bytes_per_second", results.ceilings.bytesPerSecond},
                        {"gemm_flops_per_second", results.ceilings.flopsPerSecond}};
  for (const Measured &row : results.rows) {
    double seconds = row.seconds.median;
    Json one = {{"test", row.wanted.title()},
                {"tokens", row.wanted.tokens},
                {"steps", row.wanted.steps},
                {"depth", row.wanted.depth},
                {"seconds_per_step", spreadJson(row.seconds)},
                {"tokens_per_second", static_cast<double>(row.wanted.tokensPerStep()) / seconds},
                {"runs_per_step", row.runs},
                {"needs", workJson(row.work)}};
    if (results.ceilings.bytesPerSecond > 0)
      one["share_of_copy"] = row.work.bytes() / seconds / results.ceilings.bytesPerSecond;
    if (results.ceilings.flopsPerSecond > 0)
      one["share_of_gemm"] = row.work.flops / seconds / results.ceilings.flopsPerSecond;
    rows.push_back(std::move(one));
  }
  for (const KernelTable &kernels : results.kernels) {
    Json list = Json::array();
    for (const KernelRow &row : kernels.rows)
      list.push_back({{"kernel", row.name},
                      {"launches", row.launches},
                      {"seconds_per_launch", spreadJson(row.seconds)},
                      {"seconds", row.total},
                      {"needs", workJson(row.work)}});
    tables.push_back({{"test", kernels.title}, {"entry", kernels.entry}, {"kernels", list}});
  }
  object["rows"] = std::move(rows);
  if (!results.kernels.empty())
    object["kernels"] = std::move(tables);
  return object;
}

std::string chromeTrace(const artifact::Manifest &manifest, const PlannedRun &run,
                        const Facts &header, const std::vector<LaunchSpan> &spans) {
  WorkCounter counter(manifest, *run.entry);
  Json events = Json::array();
  events.push_back(
      {{"name", "process_name"}, {"ph", "M"}, {"pid", 0}, {"args", {{"name", run.entry->name}}}});
  for (const LaunchSpan &span : spans) {
    Work work = counter.launch(*span.launch, run.shape);
    events.push_back({{"name", exportOf(manifest, *span.launch).name},
                      {"ph", "X"},
                      {"pid", 0},
                      {"tid", 0},
                      {"ts", span.begin * 1e6}, // microseconds
                      {"dur", (span.end - span.begin) * 1e6},
                      {"args", workJson(work)}});
  }
  Json other = Json::object();
  for (const auto &[name, value] : header)
    other[name] = value;
  return Json{{"traceEvents", events}, {"displayTimeUnit", "ns"}, {"otherData", other}}.dump(
      1, ' ', false, Json::error_handler_t::replace);
}

} // namespace levin::bench
