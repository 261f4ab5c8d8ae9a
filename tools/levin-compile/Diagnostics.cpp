#include "tools/levin-compile/Diagnostics.h"

#include "mlir/IR/Location.h"
#include "mlir/IR/Remarks.h"

#include <cstdio>

namespace levin::compile {

std::string placeOf(mlir::Location location) {
  if (auto file = llvm::dyn_cast<mlir::FileLineColLoc>(location))
    return fmt::format("{}:{}:{}", file.getFilename().str(), file.getLine(), file.getColumn());
  if (auto name = llvm::dyn_cast<mlir::NameLoc>(location))
    return name.getName().str();
  if (auto call = llvm::dyn_cast<mlir::CallSiteLoc>(location))
    return placeOf(call.getCallee());
  if (auto fused = llvm::dyn_cast<mlir::FusedLoc>(location))
    for (mlir::Location part : fused.getLocations())
      if (std::string place = placeOf(part); !place.empty())
        return place;
  return "";
}

static void printLine(const std::string &line) { std::fputs((line + "\n").c_str(), stderr); }

Diagnostics::Diagnostics(mlir::MLIRContext &context)
    : handler(&context, [this](mlir::Diagnostic &diagnostic) {
        handle(diagnostic);
        return mlir::success();
      }) {}

static const char *kindOf(mlir::DiagnosticSeverity severity) {
  switch (severity) {
  case mlir::DiagnosticSeverity::Warning:
    return "warning";
  case mlir::DiagnosticSeverity::Remark:
    return "remark";
  default:
    return "note";
  }
}

void Diagnostics::handle(mlir::Diagnostic &diagnostic) {
  std::string place = placeOf(diagnostic.getLocation());
  if (diagnostic.getSeverity() != mlir::DiagnosticSeverity::Error) {
    const char *kind = kindOf(diagnostic.getSeverity());
    printLine(fmt::format("{}: {}{}{}", kind, place, place.empty() ? "" : ": ", diagnostic.str()));
    return;
  }
  if (errors++ != 0)
    return;
  what = diagnostic.str();
  where = place;
  for (mlir::Diagnostic &note : diagnostic.getNotes()) {
    std::string at = placeOf(note.getLocation());
    // The op as a whole is the reader's own text, or too long to be of use.
    if (!llvm::StringRef(note.str()).starts_with("see current operation"))
      notes.push_back(at.empty() ? note.str() : fmt::format("{} ({})", note.str(), at));
  }
}

// A failure's first line is one line.
static std::string firstLine(const std::string &text) { return text.substr(0, text.find('\n')); }

Status Diagnostics::take(ErrorCode code, const std::string &otherwise) {
  Status status(code, errors ? firstLine(what) : otherwise);
  if (!where.empty())
    status.note("where", where);
  for (const std::string &note : notes)
    status.note("note", firstLine(note));
  if (errors > 1)
    status.note("more",
                fmt::format("{} more errors follow from the first or stand beside it", errors - 1));
  what.clear();
  where.clear();
  notes.clear();
  errors = 0;
  return status;
}

namespace {

// "model.mlir:3:8: missed: 'nn.rms_norm' not into the kernel of 'nn.linear': .."
class RemarkPrinter : public mlir::remark::detail::MLIRRemarkStreamerBase {
public:
  void streamOptimizationRemark(const mlir::remark::detail::Remark &remark) override {
    std::string place = placeOf(remark.getLocation());
    std::string text;
    for (const auto &argument : remark.getArgs())
      text += (text.empty() ? "" : " ") + argument.val;
    printLine(fmt::format("{}{}{}: {}", place, place.empty() ? "" : ": ", kindOf(remark), text));
  }

private:
  static const char *kindOf(const mlir::remark::detail::Remark &remark) {
    switch (remark.getRemarkType()) {
    case llvm::remarks::Type::Passed:
      return "passed";
    case llvm::remarks::Type::Missed:
      return "missed";
    case llvm::remarks::Type::Failure:
      return "failed";
    default:
      return "remark";
    }
  }
};

} // namespace

Status enableRemarks(mlir::MLIRContext &context, const std::string &kinds) {
  if (kinds.empty())
    return {};
  mlir::remark::RemarkCategories categories;
  if (kinds != "passed")
    categories.missed = ".*";
  if (kinds != "missed")
    categories.passed = ".*";
  if (kinds == "all")
    categories.failed = categories.analysis = ".*";
  if (mlir::failed(mlir::remark::enableOptimizationRemarks(
          context, std::make_unique<RemarkPrinter>(),
          std::make_unique<mlir::remark::RemarkEmittingPolicyAll>(), categories)))
    return makeError(ErrorCode::Internal, "remarks cannot be enabled");
  return {};
}

} // namespace levin::compile
