#include "runtime/session/ParameterLoader.h"

#include "runtime/base/Checked.h"
#include "runtime/session/Convert.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace levin {

using artifact::Parameter;

// Bytes of stored parameter that one task makes, and of source that it reads at once.
static constexpr uint64_t taskBytes = uint64_t(1) << 20;
static constexpr uint64_t stageBytes = uint64_t(256) << 10;

namespace {

/// A piece as runs of elements that lie together in the file.
struct Runs {
  const File *file = nullptr;
  artifact::DType dtype = artifact::DType::Invalid;
  uint64_t elements = 0;                // of the whole piece
  uint64_t length = 0;                  // elements of a run
  uint64_t origin = 0;                  // byte of the first element of the piece
  std::vector<uint64_t> counts, stride; // the dimensions over runs; strides in bytes

  uint64_t position(uint64_t run) const {
    uint64_t offset = origin;
    for (size_t d = counts.size(); d-- > 0;) {
      offset += run % counts[d] * stride[d];
      run /= counts[d];
    }
    return offset;
  }
};

/// Where the elements of a parameter come from, in row-major order of its type.
struct Source {
  std::vector<Runs> pieces;
  std::span<const std::byte> segment; // instead of pieces
};

/// What one task does: units [first, last) of a parameter.  A unit is a panel, or an element.
struct Task {
  uint32_t parameter;
  uint64_t first, last, unitBytes;
};

/// The first failure of several threads.
class Failure {
public:
  bool any() const { return failed.load(std::memory_order_relaxed); }
  void set(Status status) {
    std::lock_guard<std::mutex> lock(mutex);
    if (first.ok())
      first = std::move(status);
    failed.store(true, std::memory_order_relaxed);
  }
  Status take() { return std::move(first); }

private:
  std::mutex mutex;
  Status first;
  std::atomic<bool> failed{false};
};

Runs makeRuns(const artifact::Piece &piece, const weights::TensorInfo &tensor, const File &file) {
  Runs runs;
  runs.file = &file;
  runs.dtype = piece.dtype;
  size_t rank = piece.shape.size();
  std::vector<uint64_t> starts = piece.starts, sizes = piece.sizes;
  if (sizes.empty()) {
    starts.assign(rank, 0);
    sizes = piece.shape;
  }
  std::vector<uint64_t> stride(rank + 1, artifact::byteSize(piece.dtype));
  for (size_t d = rank; d-- > 0;)
    stride[d] = stride[d + 1] * piece.shape[d];
  // Whole inner dimensions and the range of one more lie together.
  size_t outer = rank;
  runs.length = 1;
  while (outer > 0 && sizes[outer - 1] == piece.shape[outer - 1])
    runs.length *= sizes[--outer];
  if (outer > 0)
    runs.length *= sizes[--outer];
  runs.elements = runs.length;
  runs.origin = tensor.offset;
  for (size_t d = 0; d < rank; ++d)
    runs.origin += starts[d] * stride[d + 1];
  for (size_t d = 0; d < outer; ++d) {
    runs.counts.push_back(sizes[d]);
    runs.stride.push_back(stride[d + 1]);
    runs.elements *= sizes[d];
  }
  return runs;
}

Status badParameter(const Parameter &parameter, std::string_view what) {
  return makeError(ErrorCode::ArtifactParameter, "parameter '{}' {}", parameter.name, what)
      .note("fix", "compile the artifact again");
}

/// Elements of a piece, or nothing if its box leaves the tensor.
std::optional<uint64_t> pieceElements(const artifact::Piece &piece) {
  if (!checkedProduct<uint64_t>(piece.shape))
    return std::nullopt;
  if (piece.sizes.empty() && piece.starts.empty())
    return checkedProduct<uint64_t>(piece.shape);
  if (piece.sizes.size() != piece.shape.size() || piece.starts.size() != piece.shape.size())
    return std::nullopt;
  for (size_t d = 0; d < piece.shape.size(); ++d)
    if (!fitsWithin(piece.starts[d], piece.sizes[d], piece.shape[d]))
      return std::nullopt;
  return checkedProduct<uint64_t>(piece.sizes);
}

/// Elements as the parameter stores them, with the rows that panels add.
std::optional<uint64_t> storedElements(const Parameter &parameter) {
  std::vector<uint64_t> shape = parameter.type.shape;
  if (parameter.panelRows != 0) {
    if (shape.size() < 2)
      return std::nullopt;
    auto padded = checkedAdd(shape[shape.size() - 2], parameter.panelRows - 1);
    if (!padded)
      return std::nullopt;
    shape[shape.size() - 2] = *padded / parameter.panelRows * parameter.panelRows;
  }
  return checkedProduct<uint64_t>(shape);
}

/// Fills the arena.  Everything that tasks rely on is checked before the first one runs.
class Loader {
public:
  Loader(const artifact::Manifest &manifest, const WeightFiles &files, ParameterTarget &arena,
         const LoadWork &work)
      : manifest(manifest), files(files), arena(arena), work(work), caller(pthread_self()) {}

  Status prepare();
  Status run(hal::ThreadPool &pool);

private:
  Result<Source> makeSource(const Parameter &parameter) const;
  void addTasks(uint32_t index);
  void runTasks(uint64_t worker);
  Status runTask(const Task &task, uint64_t worker, std::byte *stage, std::vector<std::byte> &rows);
  Status packPanels(const Task &task, std::byte *target, std::byte *stage,
                    std::vector<std::byte> &rows);
  Status read(const Task &task, uint64_t first, uint64_t count, std::byte *target,
              std::byte *stage);
  Status readPiece(const Parameter &parameter, const Runs &runs, uint64_t first, uint64_t count,
                   std::byte *target, std::byte *stage);
  void advance(uint64_t bytes);

  const artifact::Manifest &manifest;
  const WeightFiles &files;
  ParameterTarget &arena;
  const LoadWork &work;
  pthread_t caller;
  std::vector<Source> sources;
  std::vector<Task> tasks;
  uint64_t fileBytes = 0, workBytes = 0;
  std::atomic<uint64_t> doneBytes{0};
  std::atomic<uint64_t> nextTask{0};
  std::chrono::steady_clock::time_point lastReport;
  Failure failure;
};

Result<Source> Loader::makeSource(const Parameter &parameter) const {
  auto elements = checkedProduct<uint64_t>(parameter.type.shape);
  auto stored = storedElements(parameter);
  uint64_t elementSize = artifact::byteSize(parameter.type.dtype);
  auto bytes = stored ? checkedMul(*stored, elementSize) : std::nullopt;
  if (!elements || !bytes || elementSize == 0 || *bytes != parameter.size)
    return badParameter(parameter, "has another size than its type says");
  if (!fitsWithin(parameter.offset, parameter.size, arena.size()))
    return badParameter(parameter, "lies outside its arena");
  Source source;
  if (const auto *stored = std::get_if<artifact::SegmentBytes>(&parameter.source)) {
    std::span<const std::byte> segment = work.segment(stored->segment);
    if (!fitsWithin(stored->offset, stored->size, segment.size()) ||
        stored->size != *elements * elementSize)
      return badParameter(parameter, "does not fit the bytes of its segment");
    source.segment = segment.subspan(stored->offset, stored->size);
    return source;
  }
  if (std::get<artifact::Pieces>(parameter.source).pieces.empty())
    return makeError(ErrorCode::WeightsMissing, "parameter '{}' has no values", parameter.name)
        .note("have", "an artifact compiled without weights")
        .note("fix", "compile it with weights, or ask for random ones (--random-weights SEED)");
  uint64_t sum = 0;
  for (const artifact::Piece &piece : std::get<artifact::Pieces>(parameter.source).pieces) {
    auto count = pieceElements(piece);
    auto total = count ? checkedAdd(sum, *count) : std::nullopt;
    if (!total || piece.file >= files.count())
      return badParameter(parameter, "has a piece that lies outside its tensor");
    if (!canConvert(piece.dtype, parameter.type.dtype))
      return badParameter(parameter,
                          fmt::format("cannot become {} from {}", nameOf(parameter.type.dtype),
                                      nameOf(piece.dtype)));
    sum = *total;
    LEVIN_ASSIGN_OR_RETURN(const weights::TensorInfo *tensor, files.find(piece));
    source.pieces.push_back(makeRuns(piece, *tensor, files.file(piece.file)));
  }
  if (sum != *elements)
    return badParameter(parameter,
                        fmt::format("has {} elements, but its pieces {}", *elements, sum));
  return source;
}

void Loader::addTasks(uint32_t index) {
  const Parameter &parameter = manifest.parameters[index];
  const auto &shape = parameter.type.shape;
  uint64_t elementSize = artifact::byteSize(parameter.type.dtype);
  uint64_t units = parameter.size / elementSize, unitBytes = elementSize;
  if (parameter.panelRows != 0) {
    unitBytes = std::max<uint64_t>(1, shape.back() * parameter.panelRows * elementSize);
    units = parameter.size / unitBytes;
  }
  uint64_t step = std::max<uint64_t>(1, taskBytes / unitBytes);
  for (uint64_t first = 0; first < units; first += step)
    tasks.push_back({index, first, std::min(units, first + step), unitBytes});
}

Status Loader::prepare() {
  for (size_t i = 0; i < manifest.parameters.size(); ++i) {
    if (work.segmentsOnly &&
        !std::holds_alternative<artifact::SegmentBytes>(manifest.parameters[i].source)) {
      sources.emplace_back();
      continue;
    }
    LEVIN_ASSIGN_OR_RETURN(Source source, makeSource(manifest.parameters[i]));
    sources.push_back(std::move(source));
    addTasks(static_cast<uint32_t>(i));
    workBytes += manifest.parameters[i].size;
  }
  for (uint32_t i = 0; i < files.count(); ++i)
    fileBytes += files.file(i).size();
  if (work.verifyDigests)
    workBytes += fileBytes;
  return {};
}

/// Counts work that is done; tells the caller of it at times, if this is its thread.
void Loader::advance(uint64_t bytes) {
  uint64_t done = doneBytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (!work.progress || !pthread_equal(pthread_self(), caller))
    return;
  auto now = std::chrono::steady_clock::now();
  if (now - lastReport < std::chrono::milliseconds(50))
    return;
  lastReport = now;
  double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(workBytes));
  work.progress(static_cast<uint64_t>(part * static_cast<double>(fileBytes)), fileBytes);
}

Status Loader::readPiece(const Parameter &parameter, const Runs &runs, uint64_t first,
                         uint64_t count, std::byte *target, std::byte *stage) {
  uint64_t fromSize = artifact::byteSize(runs.dtype);
  uint64_t toSize = artifact::byteSize(parameter.type.dtype);
  bool direct = runs.dtype == parameter.type.dtype;
  while (count > 0) {
    uint64_t within = first % runs.length;
    uint64_t part = std::min(count, runs.length - within);
    if (!direct)
      part = std::min(part, stageBytes / fromSize);
    uint64_t offset = runs.position(first / runs.length) + within * fromSize;
    std::byte *place = direct ? target : stage;
    LEVIN_RETURN_IF_ERROR(runs.file->readAt(offset, place, static_cast<size_t>(part * fromSize)));
    if (!direct && !convert(runs.dtype, stage, parameter.type.dtype, target, part))
      return badParameter(
          parameter, fmt::format("has a value that {} cannot hold", nameOf(parameter.type.dtype)));
    target += part * toSize;
    first += part;
    count -= part;
  }
  return {};
}

/// Elements [first, first + count) of a parameter, cast to its type.
Status Loader::read(const Task &task, uint64_t first, uint64_t count, std::byte *target,
                    std::byte *stage) {
  const Parameter &parameter = manifest.parameters[task.parameter];
  const Source &source = sources[task.parameter];
  uint64_t size = artifact::byteSize(parameter.type.dtype);
  if (source.pieces.empty()) {
    std::memcpy(target, source.segment.data() + first * size, static_cast<size_t>(count * size));
    return {};
  }
  for (const Runs &runs : source.pieces) {
    if (first >= runs.elements) {
      first -= runs.elements;
      continue;
    }
    uint64_t part = std::min(count, runs.elements - first);
    LEVIN_RETURN_IF_ERROR(readPiece(parameter, runs, first, part, target, stage));
    target += part * size;
    count -= part;
    first = 0;
    if (count == 0)
      break;
  }
  return {};
}

Status Loader::packPanels(const Task &task, std::byte *target, std::byte *stage,
                          std::vector<std::byte> &rows) {
  const Parameter &parameter = manifest.parameters[task.parameter];
  const auto &shape = parameter.type.shape;
  uint64_t n = shape[shape.size() - 2], k = shape.back(), height = parameter.panelRows;
  uint64_t size = artifact::byteSize(parameter.type.dtype);
  uint64_t panels = (n + height - 1) / height; // of one matrix
  // A panel's rows are taken in pieces of columns, if they are very long.
  uint64_t width = std::min(k, std::max<uint64_t>(1, taskBytes / (height * size)));
  rows.resize(static_cast<size_t>(width * height * size));
  for (uint64_t panel = task.first; panel < task.last; ++panel) {
    uint64_t row = panel % panels * height;
    uint64_t count = std::min(height, n - row);
    uint64_t first = (panel / panels * n + row) * k;
    for (uint64_t column = 0; column < k; column += width) {
      uint64_t columns = std::min(width, k - column);
      if (columns == k) {
        LEVIN_RETURN_IF_ERROR(read(task, first, count * k, rows.data(), stage));
      } else {
        for (uint64_t r = 0; r < count; ++r)
          LEVIN_RETURN_IF_ERROR(
              read(task, first + r * k + column, columns, rows.data() + r * columns * size, stage));
      }
      packPanel(rows.data(), count, columns, height, size, target);
      target += columns * height * size;
    }
  }
  return {};
}

Status Loader::runTask(const Task &task, uint64_t worker, std::byte *stage,
                       std::vector<std::byte> &rows) {
  const Parameter &parameter = manifest.parameters[task.parameter];
  uint64_t offset = parameter.offset + task.first * task.unitBytes;
  uint64_t bytes = (task.last - task.first) * task.unitBytes;
  LEVIN_ASSIGN_OR_RETURN(std::byte * target, arena.begin(worker, offset, bytes));
  if (parameter.panelRows != 0)
    LEVIN_RETURN_IF_ERROR(packPanels(task, target, stage, rows));
  else
    LEVIN_RETURN_IF_ERROR(read(task, task.first, task.last - task.first, target, stage));
  return arena.end(worker, offset, bytes);
}

/// What each thread does: hash files, then fill parameters, until nothing is left.
void Loader::runTasks(uint64_t worker) {
  uint64_t hashes = work.verifyDigests ? files.count() : 0;
  auto stage = std::make_unique<std::byte[]>(stageBytes);
  std::vector<std::byte> rows;
  while (!failure.any()) {
    uint64_t index = nextTask.fetch_add(1, std::memory_order_relaxed);
    if (index >= hashes + tasks.size())
      return;
    Status status;
    if (index < hashes) {
      uint32_t file = static_cast<uint32_t>(index);
      status = files.verifyDigest(file, manifest.weightFiles[file], [&](uint64_t bytes) {
        advance(bytes);
        return !failure.any();
      });
    } else {
      const Task &task = tasks[index - hashes];
      status = runTask(task, worker, stage.get(), rows);
      advance((task.last - task.first) * task.unitBytes);
    }
    if (!status.ok())
      failure.set(std::move(status));
  }
}

Status Loader::run(hal::ThreadPool &pool) {
  lastReport = std::chrono::steady_clock::now();
  pool.forEach(pool.threads(), [this](uint64_t worker) { runTasks(worker); });
  LEVIN_RETURN_IF_ERROR(failure.take());
  if (work.progress)
    work.progress(fileBytes, fileBytes);
  return {};
}

class HostTarget final : public ParameterTarget {
public:
  explicit HostTarget(std::span<std::byte> arena) : arena(arena) {}
  uint64_t size() const override { return arena.size(); }
  Result<std::byte *> begin(uint64_t, uint64_t offset, uint64_t) override {
    return arena.data() + offset;
  }
  Status end(uint64_t, uint64_t, uint64_t) override { return {}; }

private:
  std::span<std::byte> arena;
};

} // namespace

Status loadParameters(const artifact::Manifest &manifest, const WeightFiles &files,
                      ParameterTarget &target, hal::ThreadPool &pool, const LoadWork &work) {
  Loader loader(manifest, files, target, work);
  LEVIN_RETURN_IF_ERROR(loader.prepare());
  return loader.run(pool);
}

Status loadParameters(const artifact::Manifest &manifest, const WeightFiles &files,
                      std::span<std::byte> arena, hal::ThreadPool &pool, const LoadWork &work) {
  HostTarget target(arena);
  return loadParameters(manifest, files, target, pool, work);
}

} // namespace levin
