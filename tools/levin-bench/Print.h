// Results as Markdown, CSV and JSON.
#ifndef LEVIN_TOOLS_LEVIN_BENCH_PRINT_H
#define LEVIN_TOOLS_LEVIN_BENCH_PRINT_H

#include "runtime/base/Json.h"
#include "tools/levin-bench/Measure.h"

#include <string>
#include <vector>

namespace levin::bench {

/// What the device does at best; 0 where it was not measured.
struct Ceilings {
  double bytesPerSecond = 0, flopsPerSecond = 0;
};

/// All launches of one kernel in one run of a bucket.
struct KernelRow {
  std::string name;
  uint64_t launches = 0;
  Spread seconds; // of one launch; the sums over all launches divided by their number
  double total = 0;
  Work work; // of all launches
};

/// The kernels of the bucket that does the first run of a case.
struct KernelTable {
  std::string title, entry;
  std::vector<KernelRow> rows; // slowest first
};

KernelTable makeKernelTable(const artifact::Manifest &manifest, const Case &wanted,
                            const PlannedRun &run, const std::vector<LaunchTime> &launches);

struct Results {
  Facts header;
  Ceilings ceilings;
  std::vector<Measured> rows;
  std::vector<KernelTable> kernels;
};

std::string markdown(const Results &results);
/// Rows only, or with kernels, a second table after an empty line.
std::string csv(const Results &results);
Json json(const Results &results);

/// Chrome's trace format: one event for each launch.
std::string chromeTrace(const artifact::Manifest &manifest, const PlannedRun &run,
                        const Facts &header, const std::vector<LaunchSpan> &spans);

} // namespace levin::bench

#endif // LEVIN_TOOLS_LEVIN_BENCH_PRINT_H
