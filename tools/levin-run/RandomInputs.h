// Random inputs of entries: values of every type, and batches that a step accepts.
#ifndef LEVIN_TOOLS_LEVIN_RUN_RANDOMINPUTS_H
#define LEVIN_TOOLS_LEVIN_RUN_RANDOMINPUTS_H

#include "runtime/artifact/Manifest.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace levin::run {

/// Fills `bytes`, values of `type`: floats standard normal, divided by the root of the last extent
/// if `matrix`; integers from 0 to `integers` - 1; booleans.
void fillRandom(const artifact::TensorType &type, bool matrix, uint64_t integers,
                std::mt19937_64 &generator, std::span<std::byte> bytes);

/// The integers of one run of a step entry.
struct StepBatch {
  std::vector<int32_t> ids, starts, slots, past, rows;
  uint64_t validRows = 0; // of `rows`; the rest is padding
};

/// Batches of every kind for an entry of fixed extents, in an order in which each slot's sequence
/// goes on: one sequence as long as possible, sequences of random lengths with empty ones between
/// and padding behind, sequences of one token, none at all; in the end one token for every slot
/// that holds a sequence, so that its state shows.
class BatchMaker {
public:
  /// Ids are from 0 to `vocabulary` - 1, those of padding are `paddingId`; no sequence gets longer
  /// than `maxContext`.
  BatchMaker(uint64_t tokens, uint64_t sequences, uint64_t rows, uint64_t slots,
             uint64_t maxContext, uint64_t vocabulary, int32_t paddingId)
      : tokens(tokens), sequences(sequences), rows(rows), maxContext(maxContext),
        vocabulary(vocabulary), paddingId(paddingId), lengths(slots, 0) {}

  std::vector<StepBatch> make(uint64_t rounds, std::mt19937_64 &generator);

private:
  /// `wanted` tokens for each place of the batch, as far as they fit.
  StepBatch batch(std::vector<uint64_t> wanted, bool fresh, std::mt19937_64 &generator);
  std::vector<uint64_t> ragged(std::mt19937_64 &generator) const;

  uint64_t tokens, sequences, rows, maxContext, vocabulary;
  int32_t paddingId;
  std::vector<uint64_t> lengths; // of each slot's sequence
};

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_RANDOMINPUTS_H
