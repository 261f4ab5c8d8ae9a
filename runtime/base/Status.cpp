#include "runtime/base/Status.h"

namespace levin {

const char *summaryOf(ErrorCode code) {
  switch (code) {
#define LEVIN_ERROR(number, name, summary)                                                         \
  case ErrorCode::name:                                                                            \
    return summary;
#include "runtime/base/ErrorCodes.def"
#undef LEVIN_ERROR
  }
  return "unknown error";
}

Status::Status(ErrorCode code, std::string what)
    : failure(std::make_unique<Failure>(Failure{code, std::move(what), {}})) {}

Status &&Status::note(std::string label, std::string text) && {
  failure->notes.emplace_back(std::move(label), std::move(text));
  return std::move(*this);
}

Status &Status::note(std::string label, std::string text) & {
  failure->notes.emplace_back(std::move(label), std::move(text));
  return *this;
}

std::string Status::text() const {
  if (!failure)
    return {};
  std::string out = fmt::format("error LV{:04}: {}\n", number(), failure->what);
  for (const auto &[label, text] : failure->notes)
    out += fmt::format("  {}: {}\n", label, text);
  return out;
}

Status Status::clone() const {
  Status copy;
  if (failure)
    copy.failure = std::make_unique<Failure>(*failure);
  return copy;
}

} // namespace levin
