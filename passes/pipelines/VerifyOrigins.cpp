#include "passes/pipelines/VerifyOrigins.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/IR/Matchers.h"

namespace levin::pipelines {
namespace {

using mlir::failure;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;

// The values of an int32 constant.
std::optional<llvm::SmallVector<int64_t>> constantOf(Value value) {
  mlir::DenseIntElementsAttr elements;
  if (!mlir::matchPattern(value, mlir::m_Constant(&elements)))
    return std::nullopt;
  llvm::SmallVector<int64_t> values;
  for (const llvm::APInt &element : elements.getValues<llvm::APInt>())
    values.push_back(element.getSExtValue());
  return values;
}

bool isArgumentOfRole(Value value, nn::Role role) {
  auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
  auto function = argument ? llvm::dyn_cast<mlir::func::FuncOp>(argument.getOwner()->getParentOp())
                           : mlir::func::FuncOp();
  if (!function)
    return false;
  auto attr = function.getArgAttrOfType<nn::RoleAttr>(argument.getArgNumber(), "nn.role");
  return attr && attr.getValue() == role;
}

bool rises(llvm::ArrayRef<int64_t> bounds, int64_t end) {
  int64_t before = 0;
  for (int64_t bound : bounds) {
    if (bound < before || bound > end)
      return false;
    before = bound;
  }
  return true;
}

LogicalResult refuse(mlir::Operation *op, nn::Role role) {
  return op->emitOpError("has computed or impossible '")
         << nn::stringifyRole(role) << "'; expected the function's argument of that role, or a "
         << "constant with possible values (I9)";
}

LogicalResult verifyStarts(mlir::Operation *op, Value starts, int64_t rows) {
  if (isArgumentOfRole(starts, nn::Role::Starts))
    return success();
  auto values = constantOf(starts);
  return values && rises(*values, rows) ? success() : refuse(op, nn::Role::Starts);
}

// Tokens before and in the step must have positions that int32 and a cache can hold.
LogicalResult verifyPast(mlir::Operation *op, Value past, int64_t end) {
  if (isArgumentOfRole(past, nn::Role::Past))
    return success();
  auto values = constantOf(past);
  bool possible = values && llvm::all_of(*values, [&](int64_t v) { return v >= 0 && v <= end; });
  return possible ? success() : refuse(op, nn::Role::Past);
}

LogicalResult verifySlots(mlir::Operation *op, Value slots, int64_t count) {
  if (isArgumentOfRole(slots, nn::Role::Slots))
    return success();
  auto values = constantOf(slots);
  if (!values)
    return refuse(op, nn::Role::Slots);
  llvm::SmallDenseSet<int64_t> seen;
  for (int64_t slot : *values)
    if (slot < 0 || slot >= count || !seen.insert(slot).second)
      return refuse(op, nn::Role::Slots);
  return success();
}

LogicalResult verifyPages(mlir::Operation *op, Value pages, int64_t count) {
  if (isArgumentOfRole(pages, nn::Role::Pages))
    return success();
  auto values = constantOf(pages);
  bool possible = values && llvm::all_of(*values, [&](int64_t v) { return v >= 0 && v < count; });
  return possible ? success() : refuse(op, nn::Role::Pages);
}

int64_t extent(Value value, unsigned dim) {
  return llvm::cast<mlir::ShapedType>(value.getType()).getDimSize(dim);
}

LogicalResult refuseRows(mlir::Operation *op, llvm::StringRef what) {
  return op->emitOpError("has computed or impossible '")
         << what << "'; expected that result of moe.route, or a constant with possible values "
         << "(I10)";
}

LogicalResult verifyRows(mlir::Operation *op, Value rows, int64_t end) {
  if (auto route = rows.getDefiningOp<moe::RouteOp>(); route && route.getRows() == rows)
    return success();
  auto values = constantOf(rows);
  bool possible = values && llvm::all_of(*values, [&](int64_t v) { return v >= -1 && v < end; });
  return possible ? success() : refuseRows(op, "rows");
}

LogicalResult verifyOffsets(mlir::Operation *op, Value offsets, int64_t end) {
  if (auto route = offsets.getDefiningOp<moe::RouteOp>(); route && route.getOffsets() == offsets)
    return success();
  auto values = constantOf(offsets);
  return values && rises(*values, end) ? success() : refuseRows(op, "offsets");
}

LogicalResult verifyOp(mlir::Operation *op) {
  constexpr int64_t longest = INT32_MAX / 2;
  if (auto rotary = llvm::dyn_cast<nn::RotaryOp>(op))
    return success(
        mlir::succeeded(verifyStarts(op, rotary.getStarts(), extent(rotary.getInput(), 0))) &&
        mlir::succeeded(verifyPast(op, rotary.getPast(), longest)));
  if (auto attention = llvm::dyn_cast<nn::LightningAttentionOp>(op))
    return success(
        mlir::succeeded(verifyStarts(op, attention.getStarts(), extent(attention.getQ(), 0))) &&
        mlir::succeeded(verifySlots(op, attention.getSlots(), extent(attention.getState(), 0))) &&
        mlir::succeeded(verifyPast(op, attention.getPast(), longest)));
  if (auto attention = llvm::dyn_cast<nn::AttentionOp>(op))
    return success(
        mlir::succeeded(verifyStarts(op, attention.getStarts(), extent(attention.getQ(), 0))) &&
        mlir::succeeded(verifySlots(op, attention.getSlots(), extent(attention.getKeys(), 0))) &&
        mlir::succeeded(verifyPast(op, attention.getPast(), longest)));
  if (auto attention = llvm::dyn_cast<nn::PagedAttentionOp>(op))
    return success(
        mlir::succeeded(verifyStarts(op, attention.getStarts(), extent(attention.getQ(), 0))) &&
        mlir::succeeded(verifyPages(op, attention.getPages(), extent(attention.getKeys(), 0))) &&
        mlir::succeeded(verifyPast(op, attention.getPast(), longest)));
  if (auto route = llvm::dyn_cast<moe::RouteOp>(op))
    return verifyStarts(op, route.getStarts(), extent(route.getScores(), 0));
  if (auto dispatch = llvm::dyn_cast<moe::DispatchOp>(op))
    return verifyRows(op, dispatch.getRows(), extent(dispatch.getDispatched(), 0));
  if (auto combine = llvm::dyn_cast<moe::CombineOp>(op))
    return verifyRows(op, combine.getRows(), extent(combine.getExpertRows(), 0));
  if (auto experts = llvm::dyn_cast<moe::ExpertsOp>(op))
    return verifyOffsets(op, experts.getOffsets(), extent(experts.getInput(), 0));
  if (auto linear = llvm::dyn_cast<moe::GroupedLinearOp>(op))
    return verifyOffsets(op, linear.getOffsets(), extent(linear.getInput(), 0));
  return success();
}

} // namespace

LogicalResult verifyOrigins(mlir::func::FuncOp function) {
  auto result = function.walk([](mlir::Operation *op) {
    return mlir::failed(verifyOp(op)) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

} // namespace levin::pipelines
