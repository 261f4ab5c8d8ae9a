#include "tools/levin-run/RandomInputs.h"

#include "runtime/base/Half.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace levin::run {

using artifact::DType;

namespace {
/// Puts values of one type one after the other.
template <typename T> class Writer {
public:
  explicit Writer(std::span<std::byte> bytes) : bytes(bytes) {}
  template <typename F> void fill(F &&next) {
    for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
      T value = static_cast<T>(next());
      std::memcpy(bytes.data() + at, &value, sizeof(T));
    }
  }

private:
  std::span<std::byte> bytes;
};
} // namespace

void fillRandom(const artifact::TensorType &type, bool matrix, uint64_t integers,
                std::mt19937_64 &generator, std::span<std::byte> bytes) {
  double scale = matrix && !type.shape.empty()
                     ? 1 / std::sqrt(static_cast<double>(std::max<uint64_t>(type.shape.back(), 1)))
                     : 1;
  std::normal_distribution<double> normal(0, scale);
  std::uniform_int_distribution<uint64_t> integer(0, std::max<uint64_t>(integers, 1) - 1);
  auto real = [&] { return static_cast<float>(normal(generator)); };
  auto whole = [&] { return integer(generator); };
  switch (type.dtype) {
  case DType::F32:
    return Writer<float>(bytes).fill(real);
  case DType::F64:
    return Writer<double>(bytes).fill([&] { return normal(generator); });
  case DType::BF16:
    return Writer<uint16_t>(bytes).fill([&] { return floatToBf16(real()); });
  case DType::F16:
    return Writer<uint16_t>(bytes).fill([&] { return floatToF16(real()); });
  case DType::F8E4M3: // every pattern but the two NaNs
    return Writer<uint8_t>(bytes).fill([&] {
      uint8_t bits = static_cast<uint8_t>(generator());
      return (bits & 0x7f) == 0x7f ? bits ^ 1 : bits;
    });
  case DType::I1:
    return Writer<uint8_t>(bytes).fill([&] { return generator() & 1; });
  default:
    switch (byteSize(type.dtype)) {
    case 1:
      return Writer<uint8_t>(bytes).fill(whole);
    case 2:
      return Writer<uint16_t>(bytes).fill(whole);
    case 4:
      return Writer<uint32_t>(bytes).fill(whole);
    default:
      return Writer<uint64_t>(bytes).fill(whole);
    }
  }
}

static uint64_t randomBelow(uint64_t limit, std::mt19937_64 &generator) {
  return limit == 0 ? 0 : std::uniform_int_distribution<uint64_t>(0, limit - 1)(generator);
}

/// Random lengths of all places: about a third of them empty, most short, one long.
std::vector<uint64_t> BatchMaker::ragged(std::mt19937_64 &generator) const {
  std::vector<uint64_t> wanted(sequences, 0);
  uint64_t left = tokens - randomBelow(std::min<uint64_t>(tokens, 5), generator); // some padding
  for (uint64_t &length : wanted) {
    if (randomBelow(3, generator) == 0)
      continue;
    length = 1 + randomBelow(std::max<uint64_t>(2 * left / sequences, 1), generator);
    left -= std::min(left, length);
  }
  uint64_t place = randomBelow(sequences, generator);
  wanted[place] = std::max<uint64_t>(wanted[place], 1);
  return wanted;
}

StepBatch BatchMaker::batch(std::vector<uint64_t> wanted, bool fresh, std::mt19937_64 &generator) {
  StepBatch made;
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::ranges::shuffle(order, generator);
  std::vector<int32_t> positions;
  int32_t total = 0;
  for (uint64_t s = 0; s < sequences; ++s) {
    uint64_t left = tokens - static_cast<uint64_t>(total);
    uint64_t count = s < wanted.size() && s < order.size() ? std::min(wanted[s], left) : 0;
    count = std::min(count, maxContext);
    size_t slot = s < order.size() ? order[s] : 0;
    made.starts.push_back(total);
    made.slots.push_back(static_cast<int32_t>(slot));
    if (count == 0) { // a sequence without tokens: whatever it says is not looked at
      made.past.push_back(0);
      continue;
    }
    if (fresh || lengths[slot] + count > maxContext)
      lengths[slot] = 0;
    made.past.push_back(static_cast<int32_t>(lengths[slot]));
    lengths[slot] += count;
    for (uint64_t i = 0; i < count; ++i) {
      positions.push_back(total++);
      made.ids.push_back(static_cast<int32_t>(randomBelow(vocabulary, generator)));
    }
  }
  made.starts.push_back(total);
  made.ids.resize(tokens, paddingId);
  std::ranges::shuffle(positions, generator);
  made.validRows = std::min<uint64_t>(rows, positions.size());
  made.rows.assign(positions.begin(), positions.begin() + static_cast<ptrdiff_t>(made.validRows));
  made.rows.resize(rows, 0);
  return made;
}

std::vector<StepBatch> BatchMaker::make(uint64_t rounds, std::mt19937_64 &generator) {
  std::vector<StepBatch> batches;
  batches.push_back(batch({tokens}, true, generator));
  batches.push_back(batch(ragged(generator), true, generator));
  batches.push_back(batch(std::vector<uint64_t>(sequences, 1), false, generator));
  batches.push_back(batch({}, false, generator));
  for (uint64_t i = 0; i < rounds; ++i)
    batches.push_back(batch(ragged(generator), i % 3 == 1, generator));
  // What every slot holds, a few at a time.
  std::vector<size_t> held;
  for (size_t slot = 0; slot < lengths.size(); ++slot)
    if (lengths[slot] > 0 && lengths[slot] < maxContext)
      held.push_back(slot);
  uint64_t together = std::min(sequences, tokens);
  for (size_t first = 0; first < held.size(); first += together) {
    StepBatch probe;
    for (uint64_t s = 0; s < sequences; ++s) {
      bool there = s < together && first + s < held.size();
      size_t slot = there ? held[first + s] : 0;
      probe.starts.push_back(static_cast<int32_t>(probe.ids.size()));
      probe.slots.push_back(static_cast<int32_t>(slot));
      probe.past.push_back(there ? static_cast<int32_t>(lengths[slot]++) : 0);
      if (!there)
        continue;
      if (probe.rows.size() < rows)
        probe.rows.push_back(static_cast<int32_t>(probe.ids.size()));
      probe.ids.push_back(static_cast<int32_t>(randomBelow(vocabulary, generator)));
    }
    probe.starts.push_back(static_cast<int32_t>(probe.ids.size()));
    probe.validRows = probe.rows.size();
    probe.ids.resize(tokens, paddingId);
    probe.rows.resize(rows, 0);
    batches.push_back(std::move(probe));
  }
  return batches;
}

} // namespace levin::run
