// How much memory this process took.
#ifndef LEVIN_TOOLS_LEVIN_RUN_MEMORY_H
#define LEVIN_TOOLS_LEVIN_RUN_MEMORY_H

#include <cstdint>

namespace levin::run {

/// The largest number of resident bytes so far, without pages of files (the program and shared
/// libraries), as Linux counts them; 0 where it does not say.
uint64_t peakAnonymousBytes();

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_MEMORY_H
