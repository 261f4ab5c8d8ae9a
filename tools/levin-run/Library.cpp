#include "tools/levin-run/Library.h"

#include <string_view>

namespace levin::run {

/// "  have: x" as label and text; nothing if the line is no note.
static std::optional<std::pair<std::string, std::string>> noteOf(std::string_view line) {
  size_t colon = line.find(": ");
  if (!line.starts_with("  ") || colon == line.npos)
    return std::nullopt;
  return std::pair(std::string(line.substr(2, colon - 2)), std::string(line.substr(colon + 2)));
}

Status takeError(levin_status status, levin_error *error) {
  if (status == 0)
    return {};
  std::string text = levin_error_text(error);
  levin_error_free(error);
  std::string_view rest = text;
  // "error LV3004: what\n  have: x\n".
  if (size_t colon = rest.find(": "); rest.starts_with("error LV") && colon != rest.npos)
    rest.remove_prefix(colon + 2);
  size_t end = std::min(rest.find('\n'), rest.size());
  Status out(static_cast<ErrorCode>(status), std::string(rest.substr(0, end)));
  while (end < rest.size()) {
    rest.remove_prefix(end + 1);
    end = std::min(rest.find('\n'), rest.size());
    if (auto note = noteOf(rest.substr(0, end)))
      out.note(std::move(note->first), std::move(note->second));
  }
  return out;
}

Result<Model> Model::load(const std::string &path, const levin_load_options &options) {
  Model model;
  levin_model *handle = nullptr;
  LEVIN_RETURN_IF_ERROR(call(levin_load, path.c_str(), &options, &handle));
  model.handle.reset(handle);
  model.about = LEVIN_INIT(levin_model_info);
  LEVIN_RETURN_IF_ERROR(call(levin_model_get_info, handle, &model.about));
  return model;
}

std::optional<std::string_view> Model::asset(const std::string &name) const {
  const void *data = nullptr;
  size_t size = 0;
  if (!call(levin_asset_data, get(), name.c_str(), &data, &size).ok())
    return std::nullopt;
  return std::string_view(static_cast<const char *>(data), size);
}

std::vector<std::string> Model::assetNames() const {
  std::vector<std::string> names;
  for (size_t i = 0; i < about.asset_count; ++i)
    names.emplace_back(levin_asset_name(get(), i));
  return names;
}

Result<Session> Session::create(const Model &model, const levin_session_options &options) {
  Session session;
  levin_session *handle = nullptr;
  LEVIN_RETURN_IF_ERROR(call(levin_session_create, model.get(), &options, &handle));
  session.handle.reset(handle);
  return session;
}

Result<int32_t> Session::acquire() {
  int32_t slot = 0;
  LEVIN_RETURN_IF_ERROR(call(levin_slot_acquire, get(), &slot));
  return slot;
}

Status Session::release(int32_t slot) { return call(levin_slot_release, get(), slot); }

Status step(const Session &session, std::span<const Feed> feeds, const RowFunction &onRow) {
  std::vector<levin_sequence> sequences;
  for (const Feed &feed : feeds)
    sequences.push_back({feed.slot, feed.logits, feed.tokens.data(), feed.tokens.size()});
  auto forward = [](void *user, size_t sequence, size_t position, const float *logits) {
    (*static_cast<const RowFunction *>(user))(sequence, position, logits);
  };
  return call(levin_step_rows, session.get(), sequences.data(), sequences.size(), +forward,
              const_cast<RowFunction *>(&onRow));
}

} // namespace levin::run
