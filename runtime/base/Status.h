// Status and Result: how every function of the runtime and the tools reports failure.
//
// A status is one word when all is fine.  A failure carries a number of the catalogue
// (ErrorCodes.def, docs/errors.md), one sentence that says what is wrong, and lines that say
// where, why (have and need) and what to do.  Nothing is thrown.
#ifndef LEVIN_RUNTIME_BASE_STATUS_H
#define LEVIN_RUNTIME_BASE_STATUS_H

#include <fmt/format.h>

#include <cassert>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace levin {

/// The numbers of the error catalogue.  The first digit is the exit status of a tool.
enum class ErrorCode : int {
#define LEVIN_ERROR(number, name, summary) name = number,
#include "runtime/base/ErrorCodes.def"
#undef LEVIN_ERROR
};

/// The catalogue's one-line summary of `code`.
const char *summaryOf(ErrorCode code);

class [[nodiscard]] Status {
public:
  Status() = default; // fine
  Status(ErrorCode code, std::string what);
  Status(Status &&) = default;
  Status &operator=(Status &&) = default;

  bool ok() const { return !failure; }
  ErrorCode code() const { return failure->code; }
  int number() const { return static_cast<int>(failure->code); }
  /// The exit status a tool ends with: 0 when fine, else the first digit of the number.
  int exitStatus() const { return failure ? number() / 1000 : 0; }
  const std::string &what() const { return failure->what; }

  /// Adds a line "label: text" such as `where`, `have`, `need`, `fix`.
  Status &&note(std::string label, std::string text) &&;
  Status &note(std::string label, std::string text) &;

  /// "error LV3004: what\n  have: ..\n  fix: ..\n"; empty when fine.
  std::string text() const;
  Status clone() const;

private:
  struct Failure {
    ErrorCode code;
    std::string what;
    std::vector<std::pair<std::string, std::string>> notes;
  };
  std::unique_ptr<Failure> failure;
};

/// A failure whose sentence is formatted by fmt.
template <typename... Args>
Status makeError(ErrorCode code, fmt::format_string<Args...> format, Args &&...args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

/// A value, or the reason why there is none.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : value(std::move(value)) {}
  Result(Status status) : failure(std::move(status)) {
    assert(!failure.ok() && "a result without a value needs a reason");
  }
  bool ok() const { return value.has_value(); }
  T &operator*() { return *value; }
  const T &operator*() const { return *value; }
  T *operator->() { return &*value; }
  const T *operator->() const { return &*value; }
  const Status &status() const & { return failure; }
  Status takeStatus() { return std::move(failure); }

private:
  std::optional<T> value;
  Status failure;
};

#define LEVIN_CONCAT_(a, b) a##b
#define LEVIN_CONCAT(a, b) LEVIN_CONCAT_(a, b)

/// Returns the status of `expression` from the enclosing function if it is a failure.
#define LEVIN_RETURN_IF_ERROR(expression)                                                          \
  do {                                                                                             \
    if (::levin::Status levinStatus = (expression); !levinStatus.ok())                             \
      return levinStatus;                                                                          \
  } while (false)

/// `LEVIN_ASSIGN_OR_RETURN(auto x, f());` declares x, or returns the failure of f().
#define LEVIN_ASSIGN_OR_RETURN(declaration, expression)                                            \
  LEVIN_ASSIGN_OR_RETURN_IMPL(LEVIN_CONCAT(levinResult, __LINE__), declaration, expression)
#define LEVIN_ASSIGN_OR_RETURN_IMPL(result, declaration, expression)                               \
  auto result = (expression);                                                                      \
  if (!result.ok())                                                                                \
    return result.takeStatus();                                                                    \
  declaration = std::move(*result)

} // namespace levin

#endif // LEVIN_RUNTIME_BASE_STATUS_H
