#include "runtime/hal/cuda/Range.h"

#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>

namespace levin::hal::cuda {
Range::Range(const std::string &name) { nvtxRangePushA(name.c_str()); }
Range::~Range() { nvtxRangePop(); }
} // namespace levin::hal::cuda

#else

namespace levin::hal::cuda {
Range::Range(const std::string &) {}
Range::~Range() = default;
} // namespace levin::hal::cuda

#endif
