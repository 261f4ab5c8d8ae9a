#include "tools/levin-run/Feeder.h"

#include "runtime/weights/Safetensors.h"

#include <algorithm>

namespace levin::run {

Status checkLength(const Model &model, size_t tokens) {
  uint64_t limit = model.info().max_context;
  if (limit == 0 || tokens <= limit)
    return {};
  return makeError(ErrorCode::ContextFull, "the sequence is longer than the compiled context")
      .note("have", fmt::format("{} tokens", tokens))
      .note("need", fmt::format("at most {}", limit))
      .note("fix", fmt::format("levin-compile --max-context {}, or a shorter text", tokens));
}

namespace {
/// One sequence on its way.
struct Course {
  size_t number; // of the sequence
  int32_t slot;
  size_t fed = 0, pieces = 0;
};
} // namespace

/// One step: the next piece of each course.
static Status stepOnce(Session &session, std::span<const std::span<const int32_t>> sequences,
                       std::vector<Course> &courses, const Chunks &chunks, levin_logits_mode mode,
                       const RowFunction &onRow, size_t &total) {
  std::vector<Feed> feeds;
  for (const Course &course : courses) {
    std::span<const int32_t> all = sequences[course.number];
    size_t count = chunks.size(course.pieces, all.size() - course.fed);
    bool last = course.fed + count == all.size();
    levin_logits_mode wanted = mode == LEVIN_LOGITS_LAST && !last ? LEVIN_LOGITS_NONE : mode;
    feeds.push_back({course.slot, all.subspan(course.fed, count), wanted});
  }
  auto forward = [&](size_t place, size_t position, const float *logits) {
    onRow(courses[place].number, courses[place].fed + position, logits);
  };
  LEVIN_RETURN_IF_ERROR(step(session, feeds, forward));
  for (size_t i = 0; i < courses.size(); ++i) {
    courses[i].fed += feeds[i].tokens.size();
    ++courses[i].pieces;
    total += feeds[i].tokens.size();
  }
  return {};
}

Status feedAll(Session &session, const Model &model,
               std::span<const std::span<const int32_t>> sequences, const Chunks &chunks,
               levin_logits_mode mode, const RowFunction &onRow,
               const std::function<void(size_t)> &done) {
  for (std::span<const int32_t> sequence : sequences)
    LEVIN_RETURN_IF_ERROR(checkLength(model, sequence.size()));
  std::vector<Course> courses;
  size_t next = 0, total = 0;
  while (next < sequences.size() || !courses.empty()) {
    while (next < sequences.size() && courses.size() < model.info().slots) {
      LEVIN_ASSIGN_OR_RETURN(int32_t slot, session.acquire());
      courses.push_back({next++, slot});
    }
    LEVIN_RETURN_IF_ERROR(stepOnce(session, sequences, courses, chunks, mode, onRow, total));
    if (done)
      done(total);
    for (const Course &course : courses)
      if (course.fed == sequences[course.number].size())
        LEVIN_RETURN_IF_ERROR(session.release(course.slot));
    std::erase_if(courses, [&](const Course &course) {
      return course.fed == sequences[course.number].size();
    });
  }
  return {};
}

Status writeRows(const std::string &path, std::span<const NamedRows> tensors, uint64_t columns) {
  std::vector<weights::TensorToWrite> out;
  for (const NamedRows &rows : tensors) {
    std::vector<uint64_t> shape = {rows.values.size()};
    if (columns != 0)
      shape = {rows.values.size() / columns, columns};
    out.push_back(
        {rows.name, weights::DType::F32, std::move(shape), std::as_bytes(std::span(rows.values))});
  }
  return weights::writeSafetensors(path, out);
}

} // namespace levin::run
