#include "runtime/text/JinjaSyntax.h"
#include "runtime/text/JinjaValues.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <functional>
#include <map>
#include <span>

namespace levin::text::jinja {

// Lists within lists of any one value.
static constexpr size_t maxValueDepth = 40;

static size_t depthOf(const Value &value) {
  size_t depth = 0;
  if (value.is_structured())
    for (const auto &[key, member] : value.items())
      depth = std::max(depth, depthOf(member));
  return depth + 1;
}

namespace {

/// A value made on the way, or one that stays where it is.
class Operand {
public:
  Operand() : owned(undefined()) {}
  Operand(Value value) : owned(std::move(value)) {}
  explicit Operand(const Value *held) : held(held) {}
  const Value &get() const { return held ? *held : owned; }
  bool stays() const { return held != nullptr; }

private:
  Value owned;
  const Value *held = nullptr;
};

class Interpreter {
public:
  Interpreter(const std::string &where, Limits limits) : where(where), limits(limits) {}

  Result<std::string> run(const std::vector<Statement> &body, Value variables) {
    auto &scope = scopes.emplace_back();
    for (auto &[name, value] : variables.items())
      scope[name] = std::move(value);
    scopes.emplace_back();
    LEVIN_RETURN_IF_ERROR(block(body));
    return std::move(out);
  }

private:
  using Kind = Expression::Kind;
  enum class Flow { Normal, Break, Continue };

  /// Accounts for work in proportion to `size` bytes or members.
  Status charge(int line, size_t size = 0) {
    steps += 1 + size / 64;
    if (steps > limits.steps)
      return failAt(where, line, "the template takes more than {} steps", limits.steps);
    return {};
  }

  Status emit(int line, std::string_view text) {
    LEVIN_RETURN_IF_ERROR(charge(line, text.size()));
    if (out.size() + text.size() > limits.bytes)
      return failAt(where, line, "the text grows beyond {} bytes", limits.bytes);
    out += text;
    return {};
  }

  /// Checks a value that was made on the way.
  Result<Operand> made(int line, Value value) {
    size_t size = sizeOf(value);
    if (size > limits.bytes || (value.is_structured() && depthOf(value) > maxValueDepth))
      return failAt(where, line, "a value grows too large");
    LEVIN_RETURN_IF_ERROR(charge(line, size));
    return Operand(std::move(value));
  }
  Result<Operand> made(int line, Outcome outcome) {
    if (outcome.failure)
      return failAt(where, line, "{}", *outcome.failure);
    return made(line, std::move(outcome.value));
  }

  Value *lookUp(const std::string &name) {
    for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope)
      if (auto place = scope->find(name); place != scope->end())
        return &place->second;
    return nullptr;
  }

  // --- Statements ---

  Status block(const std::vector<Statement> &body) {
    for (const Statement &statement : body) {
      LEVIN_RETURN_IF_ERROR(charge(statement.line));
      LEVIN_RETURN_IF_ERROR(run(statement));
      if (flow != Flow::Normal)
        break;
    }
    return {};
  }

  Status run(const Statement &statement) {
    switch (statement.kind) {
    case Statement::Kind::Text:
      return emit(statement.line, statement.text);
    case Statement::Kind::Output: {
      LEVIN_ASSIGN_OR_RETURN(Operand value, evaluate(statement.value));
      return emit(statement.line, printed(value.get()));
    }
    case Statement::Kind::If:
      return runIf(statement);
    case Statement::Kind::For:
      return runFor(statement);
    case Statement::Kind::Set: {
      LEVIN_ASSIGN_OR_RETURN(Operand value, evaluate(statement.value));
      LEVIN_ASSIGN_OR_RETURN(Operand copy, made(statement.line, Value(value.get())));
      return assign(statement, copy.get());
    }
    case Statement::Kind::SetBlock: {
      std::string before = std::exchange(out, {});
      LEVIN_RETURN_IF_ERROR(block(statement.branches[0].body));
      std::string text = std::exchange(out, std::move(before));
      scopes.back()[statement.targets[0]] = std::move(text);
      return {};
    }
    case Statement::Kind::Break:
      flow = Flow::Break;
      return {};
    case Statement::Kind::Continue:
      flow = Flow::Continue;
      return {};
    }
    return {};
  }

  Status assign(const Statement &statement, const Value &value) {
    const std::string &name = statement.targets[0];
    if (statement.text.empty()) {
      scopes.back()[name] = value;
      return {};
    }
    Value *object = lookUp(name);
    if (!object || !object->is_object())
      return failAt(where, statement.line, "'{}' is no namespace", name);
    (*object)[statement.text] = value;
    Result<Operand> checked = made(statement.line, *object);
    return checked.ok() ? Status() : checked.takeStatus();
  }

  Status runIf(const Statement &statement) {
    for (const Statement::Branch &branch : statement.branches) {
      if (!branch.condition.empty()) {
        LEVIN_ASSIGN_OR_RETURN(Operand condition, evaluate(branch.condition[0]));
        if (!isTrue(condition.get()))
          continue;
      }
      return block(branch.body);
    }
    return {};
  }

  /// The elements that a loop visits.
  Result<std::vector<Value>> elements(const Statement &statement) {
    LEVIN_ASSIGN_OR_RETURN(Operand list, evaluate(statement.value));
    const Value &value = list.get();
    LEVIN_RETURN_IF_ERROR(charge(statement.line, sizeOf(value)));
    std::vector<Value> all;
    if (const auto *text = value.get_ptr<const std::string *>())
      for (size_t i = 0, length = 0; i < text->size(); i += length) {
        length = decodeUtf8(*text, i).length;
        all.push_back(text->substr(i, length));
      }
    else if (value.is_object())
      for (const auto &[key, member] : value.items())
        all.push_back(key);
    else if (value.is_array())
      all.assign(value.begin(), value.end());
    else
      return failAt(where, statement.line, "a loop over {}", kindOf(value));
    if (statement.filter.empty())
      return all;
    std::vector<Value> kept;
    for (Value &element : all) {
      LEVIN_RETURN_IF_ERROR(bind(statement, element));
      LEVIN_ASSIGN_OR_RETURN(Operand wanted, evaluate(statement.filter[0]));
      if (isTrue(wanted.get()))
        kept.push_back(std::move(element));
    }
    return kept;
  }

  /// Gives the loop's names their values in the innermost scope.
  Status bind(const Statement &statement, const Value &element) {
    if (statement.targets.size() == 1) {
      scopes.back()[statement.targets[0]] = element;
      return {};
    }
    if (!element.is_array() || element.size() != statement.targets.size())
      return failAt(where, statement.line, "the loop has {} names for {}", statement.targets.size(),
                    element.is_array() ? fmt::format("{} values", element.size())
                                       : std::string(kindOf(element)));
    for (size_t i = 0; i < statement.targets.size(); ++i)
      scopes.back()[statement.targets[i]] = element[i];
    return {};
  }

  Status runFor(const Statement &statement) {
    scopes.emplace_back();
    LEVIN_ASSIGN_OR_RETURN(std::vector<Value> all, elements(statement));
    for (size_t i = 0; i < all.size(); ++i) {
      scopes.back().clear();
      LEVIN_RETURN_IF_ERROR(charge(statement.line));
      LEVIN_RETURN_IF_ERROR(bind(statement, all[i]));
      Value loop = {{"index", i + 1},
                    {"index0", i},
                    {"first", i == 0},
                    {"last", i + 1 == all.size()},
                    {"length", all.size()},
                    {"revindex", all.size() - i},
                    {"revindex0", all.size() - i - 1}};
      loop["previtem"] = i > 0 ? all[i - 1] : Value(nullptr);
      loop["nextitem"] = i + 1 < all.size() ? all[i + 1] : Value(nullptr);
      scopes.back()["loop"] = std::move(loop);
      LEVIN_RETURN_IF_ERROR(block(statement.branches[0].body));
      bool stop = flow == Flow::Break;
      flow = Flow::Normal;
      if (stop)
        break;
    }
    scopes.pop_back();
    if (all.empty() && statement.branches.size() > 1)
      return block(statement.branches[1].body);
    return {};
  }

  // --- Expressions ---

  Result<Operand> evaluate(const Expression &node) {
    LEVIN_RETURN_IF_ERROR(charge(node.line));
    switch (node.kind) {
    case Kind::Literal:
      return Operand(&node.literal);
    case Kind::Name: {
      Value *value = lookUp(node.text);
      return value ? Operand(static_cast<const Value *>(value)) : Operand();
    }
    case Kind::List:
    case Kind::Dict:
      return collection(node);
    case Kind::Attribute:
    case Kind::Index:
      return member(node);
    case Kind::Slice:
      return slice(node);
    case Kind::Call:
      return call(node);
    case Kind::Method:
    case Kind::Filter:
    case Kind::Test:
      return apply(node);
    case Kind::Unary:
      return unary(node);
    case Kind::Binary:
      return binary(node);
    case Kind::Choice: {
      LEVIN_ASSIGN_OR_RETURN(Operand condition, evaluate(node.parts[0]));
      return evaluate(node.parts[isTrue(condition.get()) ? 1 : 2]);
    }
    }
    return Operand();
  }

  Result<Operand> collection(const Expression &node) {
    bool list = node.kind == Kind::List;
    Value value = list ? Value::array() : Value::object();
    for (size_t i = 0; i < node.parts.size(); i += list ? 1 : 2) {
      LEVIN_ASSIGN_OR_RETURN(Operand first, evaluate(node.parts[i]));
      LEVIN_RETURN_IF_ERROR(charge(node.line, sizeOf(first.get())));
      if (list) {
        value.push_back(first.get());
        continue;
      }
      LEVIN_ASSIGN_OR_RETURN(Operand second, evaluate(node.parts[i + 1]));
      LEVIN_RETURN_IF_ERROR(charge(node.line, sizeOf(second.get())));
      value[printed(first.get())] = second.get();
    }
    return made(node.line, std::move(value));
  }

  /// A member of `value`, copied only if `value` does not stay.
  static Operand part(const Operand &whole, const Value *found) {
    if (!found)
      return Operand();
    return whole.stays() ? Operand(found) : Operand(Value(*found));
  }

  Result<Operand> member(const Expression &node);
  Result<Operand> slice(const Expression &node);
  Result<Operand> call(const Expression &node);
  Status checkGrowth(const Expression &node, const Value &whole,
                     std::span<const Value> arguments) const;
  Result<Operand> apply(const Expression &node);
  Result<Operand> unary(const Expression &node);
  Result<Operand> binary(const Expression &node);

  const std::string &where;
  Limits limits;
  size_t steps = 0;
  std::string out;
  std::vector<std::map<std::string, Value>> scopes;
  Flow flow = Flow::Normal;
};

Result<Operand> Interpreter::member(const Expression &node) {
  LEVIN_ASSIGN_OR_RETURN(Operand whole, evaluate(node.parts[0]));
  Operand key{Value(node.text)};
  if (node.kind == Kind::Index) {
    LEVIN_ASSIGN_OR_RETURN(key, evaluate(node.parts[1]));
  }
  const Value &value = whole.get(), &name = key.get();
  if (value.is_discarded())
    return failAt(where, node.line, "'{}' of an undefined value", printed(name));
  if (value.is_object() && name.is_string()) {
    auto place = value.find(name.get_ref<const std::string &>());
    return part(whole, place == value.end() ? nullptr : &*place);
  }
  if (!name.is_number_integer())
    return Operand();
  auto index = name.get<int64_t>();
  if (const auto *text = value.get_ptr<const std::string *>()) {
    auto length = static_cast<int64_t>(lengthOf(*text));
    index += index < 0 ? length : 0;
    LEVIN_RETURN_IF_ERROR(charge(node.line, text->size()));
    if (index < 0 || index >= length)
      return Operand();
    auto at = static_cast<size_t>(index);
    return Operand(Value(std::string(codePoints(*text, at, at + 1))));
  }
  if (!value.is_array())
    return Operand();
  auto length = static_cast<int64_t>(value.size());
  index += index < 0 ? length : 0;
  return part(whole, index < 0 || index >= length ? nullptr : &value[static_cast<size_t>(index)]);
}

Result<Operand> Interpreter::slice(const Expression &node) {
  LEVIN_ASSIGN_OR_RETURN(Operand whole, evaluate(node.parts[0]));
  int64_t bounds[3] = {0, INT64_MAX, 1};
  for (size_t i = 0; i < 3 && i + 1 < node.parts.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(Operand bound, evaluate(node.parts[i + 1]));
    if (bound.get().is_number_integer())
      bounds[i] = bound.get().get<int64_t>();
    else if (!bound.get().is_discarded() && !bound.get().is_null())
      return failAt(where, node.line, "a slice by {}", kindOf(bound.get()));
  }
  const Value &value = whole.get();
  const auto *text = value.get_ptr<const std::string *>();
  if (!text && !value.is_array())
    return failAt(where, node.line, "a slice of {}", kindOf(value));
  auto length = static_cast<int64_t>(text ? lengthOf(*text) : value.size());
  bool entire = node.parts[1].literal.is_discarded() && node.parts[2].literal.is_discarded() &&
                node.parts[1].kind == Kind::Literal && node.parts[2].kind == Kind::Literal;
  if (bounds[2] == -1 && entire && value.is_array()) {
    Value reversed = value;
    std::reverse(reversed.begin(), reversed.end());
    return made(node.line, std::move(reversed));
  }
  if (bounds[2] != 1)
    return failAt(where, node.line, "a slice with this step is not supported");
  auto place = [&](int64_t bound) {
    return static_cast<size_t>(std::clamp<int64_t>(bound < 0 ? bound + length : bound, 0, length));
  };
  size_t begin = place(bounds[0]), end = std::max(place(bounds[1]), begin);
  if (text)
    return made(node.line, Value(std::string(codePoints(*text, begin, end))));
  return made(node.line, Value(Value::array_t(value.begin() + static_cast<ptrdiff_t>(begin),
                                              value.begin() + static_cast<ptrdiff_t>(end))));
}

Result<Operand> Interpreter::call(const Expression &node) {
  std::vector<Value> values;
  for (const Expression &argument : node.parts) {
    LEVIN_ASSIGN_OR_RETURN(Operand value, evaluate(argument));
    LEVIN_RETURN_IF_ERROR(charge(node.line, sizeOf(value.get())));
    values.push_back(value.get());
  }
  size_t plain = values.size() - node.names.size();
  if (node.text == "raise_exception")
    return failAt(where, node.line, "the template refuses the messages: {}",
                  values.empty() ? "" : printed(values[0]));
  if ((node.text == "namespace" || node.text == "dict") && plain == 0) {
    Value object = Value::object();
    for (size_t i = 0; i < node.names.size(); ++i)
      object[node.names[i]] = values[i];
    return made(node.line, std::move(object));
  }
  if (node.text == "range" && node.names.empty() && plain >= 1 && plain <= 3) {
    for (const Value &value : values)
      if (!value.is_number_integer())
        return failAt(where, node.line, "a range of {}", kindOf(value));
    int64_t begin = plain == 1 ? 0 : values[0].get<int64_t>();
    int64_t end = values[plain == 1 ? 0 : 1].get<int64_t>();
    int64_t step = plain == 3 ? values[2].get<int64_t>() : 1;
    Value list = Value::array();
    if (step == 0)
      return failAt(where, node.line, "a range with step 0");
    for (int64_t i = begin; step > 0 ? i < end : i > end;) {
      LEVIN_RETURN_IF_ERROR(charge(node.line));
      list.push_back(i);
      if (__builtin_add_overflow(i, step, &i))
        break;
    }
    return made(node.line, std::move(list));
  }
  return failAt(where, node.line, "the function '{}' is not supported", node.text);
}

/// Refuses a replacement or a separator that could stand at too many places.
Status Interpreter::checkGrowth(const Expression &node, const Value &whole,
                                std::span<const Value> arguments) const {
  auto length = [](const Value &value) {
    const auto *text = value.get_ptr<const std::string *>();
    return text ? text->size() : 0;
  };
  size_t places = 0, inserted = 0;
  if (node.text == "replace" && arguments.size() >= 2) {
    places = sizeOf(whole);
    inserted = length(arguments[1]);
  } else if (node.text == "join" && !arguments.empty()) {
    bool filter = node.kind == Kind::Filter;
    places = (filter ? whole : arguments[0]).size();
    inserted = length(filter ? arguments[0] : whole);
  }
  if (places > limits.bytes / (1 + inserted))
    return failAt(where, node.line, "a value grows too large");
  return {};
}

/// Filters, tests and methods, which know no named arguments but those that stand in place.
Result<Operand> Interpreter::apply(const Expression &node) {
  LEVIN_ASSIGN_OR_RETURN(Operand whole, evaluate(node.parts[0]));
  std::vector<Value> arguments;
  for (size_t i = 1; i < node.parts.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(Operand value, evaluate(node.parts[i]));
    arguments.push_back(value.get());
  }
  if (!node.names.empty() &&
      (node.names.size() > 1 || arguments.size() > 1 || node.names[0] != "indent"))
    return failAt(where, node.line, "named arguments of '{}' are not supported", node.text);
  LEVIN_RETURN_IF_ERROR(charge(node.line, sizeOf(whole.get())));
  LEVIN_RETURN_IF_ERROR(checkGrowth(node, whole.get(), arguments));
  switch (node.kind) {
  case Kind::Filter:
    return made(node.line, applyFilter(node.text, whole.get(), arguments));
  case Kind::Test:
    return made(node.line, applyTest(node.text, whole.get(), arguments));
  default:
    return made(node.line, callMethod(node.text, whole.get(), arguments));
  }
}

Result<Operand> Interpreter::unary(const Expression &node) {
  LEVIN_ASSIGN_OR_RETURN(Operand operand, evaluate(node.parts[0]));
  const Value &value = operand.get();
  if (node.text == "not")
    return Operand(Value(!isTrue(value)));
  if (!value.is_number())
    return failAt(where, node.line, "'{}' of {}", node.text, kindOf(value));
  if (node.text == "+")
    return Operand(Value(value));
  return made(node.line, binaryOperation("-", Value(0), value));
}

Result<Operand> Interpreter::binary(const Expression &node) {
  LEVIN_ASSIGN_OR_RETURN(Operand left, evaluate(node.parts[0]));
  // As in Python, the result is one of the operands.
  if (node.text == "and" || node.text == "or") {
    if (isTrue(left.get()) == (node.text == "or"))
      return left;
    return evaluate(node.parts[1]);
  }
  LEVIN_ASSIGN_OR_RETURN(Operand right, evaluate(node.parts[1]));
  LEVIN_RETURN_IF_ERROR(charge(node.line, sizeOf(left.get()) + sizeOf(right.get())));
  return made(node.line, binaryOperation(node.text, left.get(), right.get()));
}

} // namespace

Result<Template> Template::parse(std::string_view source, std::string where) {
  auto program = std::make_shared<Program>();
  LEVIN_ASSIGN_OR_RETURN(program->body, parseTemplate(source, where));
  program->where = std::move(where);
  Template out;
  out.program = std::move(program);
  return out;
}

Result<std::string> Template::render(Value variables, Limits limits) const {
  return Interpreter(program->where, limits).run(program->body, std::move(variables));
}

} // namespace levin::text::jinja
