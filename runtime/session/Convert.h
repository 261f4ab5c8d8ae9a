// Weights on their way from the file to memory: types and layouts changed.
#ifndef LEVIN_RUNTIME_SESSION_CONVERT_H
#define LEVIN_RUNTIME_SESSION_CONVERT_H

#include "runtime/artifact/Manifest.h"

#include <cstddef>
#include <cstdint>

namespace levin {

/// Whether values of `from` can become `to`: floats among themselves, integers among themselves,
/// booleans only booleans.
bool canConvert(artifact::DType from, artifact::DType to);

/// Converts `count` values; the buffers do not overlap.  Floats round to nearest, ties to even.
/// Answers false if an integer does not fit `to`.  canConvert(from, to) must hold.
[[nodiscard]] bool convert(artifact::DType from, const std::byte *source, artifact::DType to,
                           std::byte *target, uint64_t count);

/// Stores rows of a matrix as columns of a panel.
///
/// `rows` holds `rowCount` <= `panelRows` rows of `columns` elements of `elementSize` bytes;
/// `panel` becomes [columns, panelRows] with zeros in the columns from rowCount on.
void packPanel(const std::byte *rows, uint64_t rowCount, uint64_t columns, uint64_t panelRows,
               uint64_t elementSize, std::byte *panel);

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_CONVERT_H
