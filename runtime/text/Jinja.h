// A small subset of Jinja, as chat templates use it.
//
// Statements: if/elif/else, for (with loop.index, index0, first, last, length), set (of names, and
// of attributes of namespace()).  Expressions: literals, names, a.b, a[b], a[b:c], calls of
// namespace, range, raise_exception, .strip(), .startswith() and the like, filters, tests,
// arithmetic, comparison, in, and/or/not, ~, a if b else c.  A template is downloaded code: it can
// neither read anything but its variables nor run for long, and whatever is outside the subset is
// refused by name and line (LV1022).
#ifndef LEVIN_RUNTIME_TEXT_JINJA_H
#define LEVIN_RUNTIME_TEXT_JINJA_H

#include "runtime/base/Status.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace levin::text::jinja {

/// Values are those of JSON, and keep the order of members; "undefined" is discarded JSON.
using Value = nlohmann::ordered_json;

/// What rendering may take.
struct Limits {
  size_t steps = 500'000;         // statements and operations
  size_t bytes = size_t(1) << 24; // of the result, and of any string on the way
};

class Template {
public:
  /// `where` names the template's file in messages.
  static Result<Template> parse(std::string_view source, std::string where);
  /// `variables` is an object.
  Result<std::string> render(Value variables, Limits limits = {}) const;

private:
  struct Program;
  std::shared_ptr<const Program> program;
};

} // namespace levin::text::jinja

#endif // LEVIN_RUNTIME_TEXT_JINJA_H
