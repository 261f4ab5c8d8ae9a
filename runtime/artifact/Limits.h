// What a reader accepts at most.  Every count that the manifest holds is bounded by its size; these
// bound what that does not.
#ifndef LEVIN_RUNTIME_ARTIFACT_LIMITS_H
#define LEVIN_RUNTIME_ARTIFACT_LIMITS_H

#include <cstddef>
#include <cstdint>

namespace levin::artifact::limits {

inline constexpr uint64_t manifestBytes = uint64_t(512) << 20;
inline constexpr uint32_t tables = 1u << 23;          // of the flatbuffer, counted at each visit
inline constexpr uint32_t depth = 16;                 // of tables within each other
inline constexpr uint64_t memory = uint64_t(1) << 48; // bytes of an arena, a tensor, a weight file
inline constexpr uint64_t alignment = 4096;
inline constexpr size_t rank = 8;
inline constexpr size_t nameBytes = 128;
inline constexpr size_t keyBytes = 1024;   // the name of a tensor in a weight file
inline constexpr size_t textBytes = 65536; // options, locations
inline constexpr size_t bindings = 1024;   // of one launch
inline constexpr size_t streams = 64;
inline constexpr uint64_t slots = 1u << 20; // each takes memory, even without state
inline constexpr uint64_t gridPoints = uint64_t(1) << 31;
// Of a GPU: what every card of compute capability 8.0 and newer takes at least, or more.
inline constexpr uint32_t blockThreads = 1024;
inline constexpr uint32_t clusterBlocks = 16;
inline constexpr uint32_t sharedBytes = 227u << 10; // of one block
inline constexpr size_t launches = 16;              // of one export
inline constexpr size_t scalars = 64;               // of one launch
inline constexpr size_t tensorMaps = 16;            // of one launch
inline constexpr size_t mapRank = 5;
inline constexpr uint32_t mapBox = 256;                   // in each dimension
inline constexpr uint64_t stackBytes = uint64_t(4) << 20; // of one kernel

} // namespace levin::artifact::limits

#endif // LEVIN_RUNTIME_ARTIFACT_LIMITS_H
