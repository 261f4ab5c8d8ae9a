#include "passes/pipelines/Passes.h"
#include "passes/pipelines/VerifyOrigins.h"

#include "dialects/check/Check.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "llvm/ADT/StringSet.h"

namespace levin::pipelines {
#define GEN_PASS_DEF_VERIFYINPUTPASS
#include "passes/pipelines/Passes.h.inc"

namespace {

using mlir::failure;
using mlir::LogicalResult;
using mlir::success;
using mlir::func::FuncOp;

// Of names to which the extents of a step, or the place of a piece, are added.
constexpr size_t longestWithSuffix = 100;

bool isName(llvm::StringRef name, size_t longest = 128) {
  return !name.empty() && name.size() <= longest && name != "." && name != ".." &&
         llvm::all_of(name,
                      [](char c) { return llvm::isAlnum(c) || c == '.' || c == '_' || c == '-'; });
}

// What an artifact can describe.
bool isNumber(mlir::Type type) {
  if (type.isF16() || type.isBF16() || type.isF32() || type.isF64() ||
      llvm::isa<mlir::Float8E4M3FNType>(type))
    return true;
  auto integer = llvm::dyn_cast<mlir::IntegerType>(type);
  return integer &&
         (integer.isUnsigned() ? llvm::is_contained({1u, 8u, 64u}, integer.getWidth())
                               : llvm::is_contained({1u, 8u, 16u, 32u, 64u}, integer.getWidth()));
}

bool isTensorOfNumbers(mlir::Type type) {
  auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
  return tensor && isNumber(tensor.getElementType()) && tensor.getRank() <= 8 &&
         !llvm::is_contained(tensor.getShape(), 0);
}

nn::RoleAttr roleOf(mlir::DictionaryAttr attributes) {
  return attributes ? attributes.getAs<nn::RoleAttr>("nn.role") : nn::RoleAttr();
}

llvm::StringRef nameOf(mlir::DictionaryAttr attributes) {
  auto name = attributes ? attributes.getAs<mlir::StringAttr>("nn.name") : mlir::StringAttr();
  return name ? name.getValue() : "";
}

bool isDynamic(FuncOp function) {
  return llvm::any_of(
      llvm::concat<const mlir::Type>(function.getArgumentTypes(), function.getResultTypes()),
      [](mlir::Type type) { return !llvm::cast<mlir::ShapedType>(type).hasStaticShape(); });
}

bool hasRoles(FuncOp function) {
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (roleOf(function.getArgAttrDict(i)))
      return true;
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (roleOf(function.getResultAttrDict(i)))
      return true;
  return false;
}

// (I2)
LogicalResult verifyDialects(FuncOp function) {
  static constexpr llvm::StringLiteral allowed[] = {"nn",   "moe",    "check",  "func", "arith",
                                                    "math", "tensor", "linalg", "scf"};
  auto result = function.walk([&](mlir::Operation *op) {
    if (llvm::is_contained(allowed, op->getName().getDialectNamespace()))
      return mlir::WalkResult::advance();
    op->emitOpError("is not of a dialect that the pipeline takes; expected nn, moe, check, func, "
                    "arith, math, tensor, linalg or scf (I2)");
    return mlir::WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

// (I3)
LogicalResult verifySignature(FuncOp function) {
  if (function.isExternal() || !function.getBody().hasOneBlock())
    return function.emitOpError("@") << function.getSymName() << " has no body of one block (I3)";
  for (mlir::Type type :
       llvm::concat<const mlir::Type>(function.getArgumentTypes(), function.getResultTypes()))
    if (!isTensorOfNumbers(type))
      return function.emitOpError("@") << function.getSymName() << " takes or returns " << type
                                       << ", expected tensors of rank 8 at most of i1, i8, ui8, "
                                          "i16, i32, i64, ui64 or floats "
                                          "without empty extents (I3)";
  return success();
}

// (I4) for arguments or for results; one without a name is called by `otherwise` and its number.
LogicalResult verifyNames(FuncOp function, llvm::StringRef what, llvm::StringRef otherwise,
                          unsigned count,
                          llvm::function_ref<mlir::DictionaryAttr(unsigned)> attributes) {
  llvm::StringSet<> seen;
  for (unsigned i = 0; i < count; ++i) {
    std::string name = nameOf(attributes(i)).str();
    if (name.empty() && !(attributes(i) && attributes(i).get("nn.name")))
      name = (otherwise + llvm::Twine(i)).str();
    if (!isName(name))
      return function.emitOpError()
             << what << ' ' << i << " is called '" << name
             << "'; expected 1 to 128 letters, digits, '.', '_' and '-' (I4)";
    if (!seen.insert(name).second)
      return function.emitOpError() << "has two " << what << "s called '" << name << "' (I4)";
  }
  return success();
}

// (I5) of the arguments that say what is in a batch.
LogicalResult verifyBatch(FuncOp function) {
  for (nn::Role role : {nn::Role::Ids, nn::Role::Starts, nn::Role::Slots, nn::Role::Past,
                        nn::Role::Rows, nn::Role::Pages}) {
    bool isPages = role == nn::Role::Pages;
    int64_t rank = isPages ? 2 : 1;
    unsigned found = 0;
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      nn::RoleAttr attr = roleOf(function.getArgAttrDict(i));
      if (!attr || attr.getValue() != role)
        continue;
      ++found;
      auto type = llvm::cast<mlir::RankedTensorType>(function.getArgumentTypes()[i]);
      if (type.getRank() != rank || !type.getElementType().isSignlessInteger(32))
        return function.emitOpError("has ") << type << " as '" << nn::stringifyRole(role)
                                            << "', expected int32 of rank " << rank << " (I5)";
    }
    if (found > 1 || (found == 0 && !isPages))
      return function.emitOpError("@")
             << function.getSymName() << " has " << found << " arguments of the role '"
             << nn::stringifyRole(role) << "', a step has " << (isPages ? "at most " : "")
             << "one (I5)";
  }
  return success();
}

// (I5)
LogicalResult verifyRoles(FuncOp function) {
  if (mlir::failed(verifyBatch(function)))
    return failure();
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    nn::RoleAttr role = roleOf(function.getArgAttrDict(i));
    if (!role || role.getValue() == nn::Role::Logits)
      return function.emitOpError("@")
             << function.getSymName() << " has argument " << i
             << " without a role, or with one of results; a step takes its batch and state (I5)";
  }
  unsigned logits = 0;
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    nn::RoleAttr role = roleOf(function.getResultAttrDict(i));
    if (role && role.getValue() == nn::Role::State)
      continue;
    auto type = llvm::cast<mlir::RankedTensorType>(function.getResultTypes()[i]);
    if (!role || role.getValue() != nn::Role::Logits || type.getRank() != 2 ||
        !type.getElementType().isF32())
      return function.emitOpError("@")
             << function.getSymName() << " returns " << type
             << "; a step returns logits, float32 of rank 2, and state (I5)";
    ++logits;
  }
  if (logits != 1)
    return function.emitOpError("@") << function.getSymName() << " has " << logits
                                     << " results of the role 'logits', a step has one (I5)";
  return success();
}

// (I7)
LogicalResult verifyState(FuncOp function) {
  llvm::StringMap<mlir::Type> states;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    nn::RoleAttr role = roleOf(function.getArgAttrDict(i));
    if (!role || role.getValue() != nn::Role::State)
      continue;
    llvm::StringRef name = nameOf(function.getArgAttrDict(i));
    if (name.empty())
      return function.emitOpError("has state without a name as argument ")
             << i << "; give it an nn.name (I7)";
    states[name] = function.getArgumentTypes()[i];
  }
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    nn::RoleAttr role = roleOf(function.getResultAttrDict(i));
    if (!role || role.getValue() != nn::Role::State)
      continue;
    llvm::StringRef name = nameOf(function.getResultAttrDict(i));
    auto argument = states.find(name);
    if (argument == states.end())
      return function.emitOpError("returns state '")
             << name << "', for which no argument, or another result, stands (I7)";
    if (argument->second != function.getResultTypes()[i])
      return function.emitOpError("takes state '")
             << name << "' as " << argument->second << " and returns it as "
             << function.getResultTypes()[i] << " (I7)";
    states.erase(argument);
  }
  if (states.empty())
    return success();
  llvm::SmallVector<llvm::StringRef> left(states.keys());
  return function.emitOpError("takes state '")
         << *llvm::min_element(left) << "' and does not return it (I7)";
}

// (I8), (I11)
LogicalResult verifyInlined(FuncOp function) {
  auto result = function.walk([&](mlir::Operation *op) {
    if (auto call = llvm::dyn_cast<mlir::func::CallOp>(op)) {
      auto callee = mlir::SymbolTable::lookupNearestSymbolFrom<FuncOp>(op, call.getCalleeAttr());
      if (callee && callee.isExternal()) {
        op->emitOpError("calls @") << call.getCallee() << ", which has no body (I8)";
        return mlir::WalkResult::interrupt();
      }
    }
    if (llvm::isa<mlir::func::CallOp, mlir::func::CallIndirectOp>(op)) {
      op->emitOpError("could not be inlined; a function may not call itself (I8)");
      return mlir::WalkResult::interrupt();
    }
    if (!llvm::isa_and_present<check::CheckDialect>(op->getDialect()))
      return mlir::WalkResult::advance();
    if (op->getParentOp() != function) {
      op->emitOpError("is in a loop or branch, expected it in the function itself (I11)");
      return mlir::WalkResult::interrupt();
    }
    if (function.getNumArguments() != 0) {
      op->emitOpError("is in a function with arguments, expected none: a test makes its own "
                      "values (I11)");
      return mlir::WalkResult::interrupt();
    }
    return mlir::WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

// (I12)
LogicalResult verifyMetadata(mlir::ModuleOp module, FuncOp step) {
  auto family = module->getAttrOfType<mlir::StringAttr>("nn.family");
  if (family && !family.empty() && !isName(family.getValue()))
    return module.emitError("the family is called '")
           << family.getValue() << "'; expected 1 to 128 letters, digits, '.', '_' and '-' (I12)";
  if (!step)
    return success();
  int64_t vocabulary = 0;
  for (unsigned i = 0; i < step.getNumResults(); ++i)
    if (nn::RoleAttr role = roleOf(step.getResultAttrDict(i));
        role && role.getValue() == nn::Role::Logits)
      vocabulary = llvm::cast<mlir::ShapedType>(step.getResultTypes()[i]).getDimSize(1);
  llvm::SmallVector<int64_t> tokens;
  if (auto ends = module->getAttrOfType<mlir::DenseI64ArrayAttr>("nn.end_tokens"))
    llvm::append_range(tokens, ends.asArrayRef());
  if (auto begin = module->getAttrOfType<mlir::IntegerAttr>("nn.begin_token"))
    tokens.push_back(begin.getValue().trySExtValue().value_or(-1));
  for (int64_t token : tokens)
    if (token < 0 || token >= vocabulary)
      return module.emitError("token ")
             << token << " of nn.begin_token or nn.end_tokens is not one of the " << vocabulary
             << " of the vocabulary (I12)";
  return success();
}

struct VerifyInput : impl::VerifyInputPassBase<VerifyInput> {
  using VerifyInputPassBase::VerifyInputPassBase;

  void runOnOperation() override {
    if (mlir::failed(verifyModule(getOperation())))
      signalPassFailure();
  }

  LogicalResult verifyModule(mlir::ModuleOp module) {
    FuncOp dynamicStep, anyStep;
    for (mlir::Operation &op : *module.getBody()) {
      if (!llvm::isa<FuncOp, nn::ParameterOp>(op))
        return op.emitOpError("is no function and no nn.parameter (I1)");
      if (auto parameter = llvm::dyn_cast<nn::ParameterOp>(op);
          parameter && (!isName(parameter.getSymName(), longestWithSuffix) ||
                        parameter.getSymName() == "kernels"))
        return op.emitOpError("is called '")
               << parameter.getSymName()
               << "'; expected 1 to 100 letters, digits, '.', '_' and '-', and not 'kernels' (I4)";
      auto function = llvm::dyn_cast<FuncOp>(op);
      if (!function)
        continue;
      if (mlir::failed(verifyDialects(function)))
        return failure();
      if (function.isPublic() && mlir::failed(verifyEntry(function)))
        return failure();
      if (final && mlir::failed(verifyInlined(function)))
        return failure();
      if (function.isPublic() && hasRoles(function)) {
        FuncOp other = isDynamic(function) ? anyStep : dynamicStep;
        if (other)
          return function.emitOpError("@")
                 << function.getSymName() << " is a step beside @" << other.getSymName()
                 << "; a step with dynamic extents must be the only one (I6)";
        anyStep = function;
        if (isDynamic(function))
          dynamicStep = function;
      }
    }
    if (llvm::none_of(module.getOps<FuncOp>(), [](FuncOp function) { return function.isPublic(); }))
      return module.emitError("there is no function to compile that is not private (I1)");
    return verifyMetadata(module, anyStep);
  }

  LogicalResult verifyEntry(FuncOp function) {
    if (mlir::failed(verifySignature(function)))
      return failure();
    size_t longest = isDynamic(function) ? longestWithSuffix : 128;
    if (!isName(function.getSymName(), longest) || function.getSymName() == "kernels")
      return function.emitOpError("is called '")
             << function.getSymName() << "'; expected 1 to " << longest
             << " letters, digits, '.', '_' and '-', and not 'kernels' (I4)";
    auto argument = [&](unsigned i) { return function.getArgAttrDict(i); };
    auto result = [&](unsigned i) { return function.getResultAttrDict(i); };
    if (mlir::failed(
            verifyNames(function, "argument", "arg", function.getNumArguments(), argument)) ||
        mlir::failed(verifyNames(function, "result", "result", function.getNumResults(), result)))
      return failure();
    if (hasRoles(function)) {
      if (mlir::failed(verifyRoles(function)) || mlir::failed(verifyState(function)))
        return failure();
    } else if (isDynamic(function)) {
      return function.emitOpError("@")
             << function.getSymName() << " has dynamic extents and is no step (I6)";
    }
    return final ? verifyOrigins(function) : success();
  }
};

} // namespace
} // namespace levin::pipelines
