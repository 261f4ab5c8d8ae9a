// What the tests of ops share: compile from the decomposition for each processor level, run on
// poisoned results, compare.
#ifndef LEVIN_TEST_CONFORMANCE_OPS_OPTEST_H
#define LEVIN_TEST_CONFORMANCE_OPS_OPTEST_H

#include "KernelHarness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fmt/format.h>
#include <functional>

namespace levin::host {

/// Compiles `ir` without templates for every target of this machine and runs it on `inputs` and on
/// results of `resultBytes` that hold NaN (or -1) before; `check` sees all bindings.
inline void runGeneric(const std::string &ir, const std::function<std::vector<Buffer>()> &inputs,
                       const std::vector<size_t> &resultBytes,
                       const std::function<void(std::span<Buffer>)> &check) {
  for (const HostTarget &target : runnableTargets()) {
    SCOPED_TRACE(target.name);
    auto kernel = LoadedKernel::compile(ir, target, /*templates=*/false);
    ASSERT_TRUE(kernel);
    std::vector<Buffer> bindings = inputs();
    for (size_t bytes : resultBytes) {
      bindings.emplace_back(bytes);
      std::ranges::fill(std::span(bindings.back().data(), bytes), std::byte{0xff});
    }
    kernel->run(bindings, 2);
    check(bindings);
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

} // namespace levin::host

#endif // LEVIN_TEST_CONFORMANCE_OPS_OPTEST_H
