#include "codegen/artifact/CompiledCode.h"

#include <algorithm>

namespace levin::artifact {

CompiledExecutable compiledCodeOf(host::HostModule code) {
  CompiledExecutable result;
  for (host::HostKernel &kernel : code.kernels) {
    Export exported{.name = std::move(kernel.name), .written = std::move(kernel.written)};
    exported.stackBytes = kernel.stackBytes;
    result.kernels.push_back(
        {std::move(exported), kernel.grid, std::move(kernel.method), std::move(kernel.ir)});
  }
  auto capability = [](const host::HostCode &variant) {
    auto all = host::hostTargets();
    return std::find_if(
               all.begin(), all.end(),
               [&](const host::HostTarget &target) { return target.name == variant.target.name; }) -
           all.begin();
  };
  std::sort(code.variants.begin(), code.variants.end(),
            [&](const auto &a, const auto &b) { return capability(a) > capability(b); });
  for (host::HostCode &variant : code.variants)
    result.variants.push_back(
        {{variant.target.name, CodeKind::HostElf, 0, variant.target.cpuFeatures},
         std::move(variant.elf)});
  return result;
}

static CompiledExecutable executableOf(std::vector<cuda::CudaKernel> kernels, cuda::CudaImage image,
                                       const cuda::CudaTarget &target) {
  constexpr uint32_t alignment = 256; // of whatever the driver gives, and of every slice
  CompiledExecutable result;
  for (cuda::CudaKernel &kernel : kernels) {
    Export exported{.name = std::move(kernel.name),
                    .written = std::move(kernel.written),
                    .minAlignment = alignment};
    exported.launches = std::move(kernel.launches);
    exported.scratchBytes = kernel.scratchBytes;
    exported.product = kernel.product;
    result.kernels.push_back(
        {std::move(exported), {1, 1, 1}, std::move(kernel.method), std::move(kernel.ir)});
  }
  if (!result.kernels.empty()) {
    result.variants.push_back({{target.name, CodeKind::Cubin, 0, {}}, std::move(image.cubin)});
    result.variants.push_back({{target.ptxName, CodeKind::Ptx, 0, {}}, std::move(image.ptx)});
  }
  return result;
}

std::vector<CompiledExecutable> compiledCodeOf(cuda::CudaModule code,
                                               const cuda::CudaTarget &target) {
  std::vector<CompiledExecutable> all;
  all.push_back(executableOf(std::move(code.kernels), std::move(code.image), target));
  all.push_back(executableOf(std::move(code.utilities), std::move(code.utilityImage), target));
  return all;
}

} // namespace levin::artifact
