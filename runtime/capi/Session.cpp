// levin.h: sessions, steps, calls.
#include "runtime/capi/Handles.h"

#include "runtime/base/Checked.h"

using namespace levin;
using namespace levin::capi;

Status levin::capi::Busy::status() const {
  if (held)
    return {};
  return badArgument("the session is in use by another call")
      .note("fix", "one thread at a time, and no calls into it from its callbacks");
}

/// Declares `session`, held for the rest of the function.
#define LEVIN_CAPI_HOLD(handle)                                                                    \
  LEVIN_CAPI_REQUIRE(handle, "session is NULL");                                                   \
  SharedSession &shared = *(handle)->shared;                                                       \
  Busy busy(shared);                                                                               \
  LEVIN_CAPI_TRY(busy.status())

levin_status levin_session_create(levin_model *model, const levin_session_options *options,
                                  levin_session **session, levin_error **error) {
  LEVIN_CAPI_REQUIRE(model && session, "model or session is NULL");
  Result<levin_session_options> given = readStruct(options, "levin_session_options");
  if (!given.ok())
    return report(given.takeStatus(), error);
  SessionOptions wanted;
  wanted.threads = given->threads;
  wanted.validate = given->validate != 0;
  wanted.maxMemory = given->max_memory;
  wanted.timeoutSeconds = given->timeout;
  Result<std::unique_ptr<Session>> made = Session::create(model->model, wanted);
  if (!made.ok())
    return report(made.takeStatus(), error);
  auto shared = std::make_shared<SharedSession>();
  shared->session = std::move(*made);
  *session = new levin_session{std::move(shared)};
  return 0;
}

void levin_session_free(levin_session *session) { delete session; }

// --- Slots ---------------------------------------------------------------------------------------

levin_status levin_slot_acquire(levin_session *session, int32_t *slot, levin_error **error) {
  LEVIN_CAPI_REQUIRE(slot, "slot is NULL");
  LEVIN_CAPI_HOLD(session);
  Result<int32_t> taken = shared.session->acquireSlot();
  if (!taken.ok())
    return report(taken.takeStatus(), error);
  *slot = *taken;
  return 0;
}

levin_status levin_slot_release(levin_session *session, int32_t slot, levin_error **error) {
  LEVIN_CAPI_HOLD(session);
  return report(shared.session->releaseSlot(slot), error);
}

levin_status levin_slot_reset(levin_session *session, int32_t slot, levin_error **error) {
  LEVIN_CAPI_HOLD(session);
  return report(shared.session->resetSlot(slot), error);
}

levin_status levin_slot_length(const levin_session *session, int32_t slot, uint64_t *length,
                               levin_error **error) {
  LEVIN_CAPI_REQUIRE(length, "length is NULL");
  LEVIN_CAPI_HOLD(session);
  Result<uint64_t> found = shared.session->slotLength(slot);
  if (!found.ok())
    return report(found.takeStatus(), error);
  *length = *found;
  return 0;
}

// --- Steps ---------------------------------------------------------------------------------------

static Result<std::vector<StepSequence>> sequencesOf(const levin_sequence *sequences,
                                                     size_t count) {
  if (count != 0 && !sequences)
    return badArgument("sequences is NULL");
  std::vector<StepSequence> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const levin_sequence &given = sequences[i];
    StepSequence sequence;
    sequence.slot = given.slot;
    switch (given.logits) {
    case LEVIN_LOGITS_LAST:
      sequence.logits = LogitsMode::Last;
      break;
    case LEVIN_LOGITS_ALL:
      sequence.logits = LogitsMode::All;
      break;
    case LEVIN_LOGITS_NONE:
      sequence.logits = LogitsMode::None;
      break;
    default:
      return badArgument(fmt::format("sequence {} has no levin_logits_mode", i));
    }
    if (!given.tokens && given.token_count != 0)
      return badArgument(fmt::format("the tokens of sequence {} are NULL", i));
    sequence.tokens = {given.tokens, given.token_count};
    result.push_back(sequence);
  }
  return result;
}

Status LogitsBuffer::resize(uint64_t rows, uint64_t columns) {
  auto floats = checkedMul(rows, columns);
  auto bytes = floats ? checkedMul(*floats, sizeof(float)) : std::nullopt;
  if (floats && *floats <= capacity)
    return {};
  void *larger = bytes && *bytes <= PTRDIFF_MAX ? std::malloc(*bytes) : nullptr;
  if (!larger)
    return makeError(ErrorCode::OutOfMemory, "cannot get memory for {} rows of logits", rows)
        .note("fix", "take them one by one: levin_step_rows");
  std::free(memory);
  memory = static_cast<float *>(larger);
  capacity = *floats;
  return {};
}

/// Makes room for the logits of a step; LV4001 if there is none.
static Status prepareLogits(SharedSession &shared, std::span<const StepSequence> sequences) {
  size_t rows = 0;
  shared.results.clear();
  for (const StepSequence &sequence : sequences) {
    size_t wanted = sequence.logits == LogitsMode::All    ? sequence.tokens.size()
                    : sequence.logits == LogitsMode::Last ? 1
                                                          : 0;
    shared.results.emplace_back(rows * shared.session->vocabulary(), wanted);
    rows += wanted;
  }
  return shared.logits.resize(rows, shared.session->vocabulary());
}

levin_status levin_step(levin_session *session, const levin_sequence *sequences,
                        size_t sequence_count, levin_error **error) {
  LEVIN_CAPI_HOLD(session);
  Result<std::vector<StepSequence>> given = sequencesOf(sequences, sequence_count);
  if (!given.ok())
    return report(given.takeStatus(), error);
  size_t vocabulary = shared.session->vocabulary();
  LEVIN_CAPI_TRY(prepareLogits(shared, *given));
  Status status =
      shared.session->step(*given, [&](size_t sequence, size_t position, const float *logits) {
        bool all = (*given)[sequence].logits == LogitsMode::All;
        size_t first = shared.results[sequence].first + (all ? position * vocabulary : 0);
        std::copy_n(logits, vocabulary, shared.logits.data() + first);
      });
  if (!status.ok())
    shared.results.clear();
  return report(std::move(status), error);
}

levin_status levin_logits(const levin_session *session, size_t sequence, const float **logits,
                          size_t *rows, levin_error **error) {
  LEVIN_CAPI_REQUIRE(logits && rows, "logits or rows is NULL");
  LEVIN_CAPI_HOLD(session);
  if (sequence >= shared.results.size())
    return report(badArgument(fmt::format("the last step had no sequence {}", sequence))
                      .note("have", fmt::format("{} sequences", shared.results.size())),
                  error);
  *logits = shared.logits.data() + shared.results[sequence].first;
  *rows = shared.results[sequence].second;
  return 0;
}

levin_status levin_step_rows(levin_session *session, const levin_sequence *sequences,
                             size_t sequence_count, levin_row_fn on_row, void *user,
                             levin_error **error) {
  LEVIN_CAPI_REQUIRE(on_row, "on_row is NULL");
  LEVIN_CAPI_HOLD(session);
  Result<std::vector<StepSequence>> given = sequencesOf(sequences, sequence_count);
  if (!given.ok())
    return report(given.takeStatus(), error);
  return report(shared.session->step(*given,
                                     [&](size_t sequence, size_t position, const float *logits) {
                                       on_row(user, sequence, position, logits);
                                     }),
                error);
}

// --- Calls ---------------------------------------------------------------------------------------

static Result<std::vector<CallTensor>> tensorsOf(const levin_tensor *tensors, size_t count,
                                                 const char *kind) {
  if (count != 0 && !tensors)
    return badArgument(fmt::format("{}s is NULL", kind));
  std::vector<CallTensor> result;
  for (size_t i = 0; i < count; ++i) {
    const levin_tensor &given = tensors[i];
    if ((given.rank != 0 && !given.shape) || (given.bytes != 0 && !given.data))
      return badArgument(fmt::format("shape or data of {} {} is NULL", kind, i));
    if (given.rank > 64 || levin_dtype_size(given.dtype) == 0)
      return badArgument(fmt::format("rank or dtype of {} {} is impossible", kind, i));
    CallTensor tensor;
    if (given.name)
      tensor.name = given.name;
    tensor.type.dtype = static_cast<artifact::DType>(given.dtype);
    tensor.type.shape.assign(given.shape, given.shape + given.rank);
    tensor.bytes = {static_cast<std::byte *>(given.data), given.bytes};
    result.push_back(std::move(tensor));
  }
  return result;
}

levin_status levin_call(levin_session *session, const char *name, const levin_tensor *inputs,
                        size_t input_count, const levin_tensor *outputs, size_t output_count,
                        levin_error **error) {
  LEVIN_CAPI_REQUIRE(name, "name is NULL");
  LEVIN_CAPI_HOLD(session);
  Result<std::vector<CallTensor>> in = tensorsOf(inputs, input_count, "input");
  if (!in.ok())
    return report(in.takeStatus(), error);
  Result<std::vector<CallTensor>> out = tensorsOf(outputs, output_count, "output");
  if (!out.ok())
    return report(out.takeStatus(), error);
  return report(shared.session->call(name, *in, *out), error);
}

levin_status levin_session_get_statistics(const levin_session *session,
                                          levin_statistics *statistics, levin_error **error) {
  LEVIN_CAPI_HOLD(session);
  const SessionStatistics &counts = shared.session->statistics();
  levin_statistics value{};
  value.runs = counts.runs;
  value.tokens = counts.tokens;
  value.padding_tokens = counts.paddingTokens;
  value.rows = counts.rows;
  value.launches = counts.launches;
  value.seconds = counts.seconds;
  return report(writeStruct(value, statistics, "levin_statistics"), error);
}
