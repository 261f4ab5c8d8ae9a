#include "codegen/cuda/templates/GemmGroup.h"

#include "dialects/interfaces/TiedResults.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

namespace levin::cuda {

using artifact::DType;
using mlir::Value;

static mlir::RankedTensorType tensorType(Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

static std::optional<unsigned> argumentNumber(Value value) {
  if (auto argument = llvm::dyn_cast_if_present<mlir::BlockArgument>(value))
    return argument.getArgNumber();
  return std::nullopt;
}

/// What a product reads.
namespace {
struct ProductOperands {
  Value input, weight, offsets;
};
} // namespace

static std::optional<ProductOperands> productOperands(mlir::Operation *op) {
  return llvm::TypeSwitch<mlir::Operation *, std::optional<ProductOperands>>(op)
      .Case([](nn::LinearOp linear) {
        return ProductOperands{linear.getInput(), linear.getWeight(), Value()};
      })
      .Case([](moe::GroupedLinearOp grouped) {
        return ProductOperands{grouped.getInput(), grouped.getWeight(), grouped.getOffsets()};
      })
      .Default([](mlir::Operation *) { return std::nullopt; });
}

/// Finds the argument that `input` is a copy of, through a widening and a dispatch.
static bool traceTokens(GemmGroup &group, Value input) {
  group.rows = tensorType(input).getDimSize(0);
  moe::DispatchOp dispatch;
  while (mlir::Operation *op = input.getDefiningOp()) {
    if (auto extend = llvm::dyn_cast<mlir::arith::ExtFOp>(op)) {
      input = extend.getIn();
    } else if (auto found = llvm::dyn_cast<moe::DispatchOp>(op); found && !dispatch) {
      dispatch = found;
      input = found.getTokens();
    } else {
      return false;
    }
  }
  if (dispatch) {
    group.places = argumentNumber(dispatch.getRows());
    if (!group.places)
      return false;
    group.choices = tensorType(dispatch.getRows()).getDimSize(1);
  }
  group.tokens = *argumentNumber(input);
  group.tokenType = floatDType(tensorType(input).getElementType());
  group.sourceRows = tensorType(input).getDimSize(0);
  return true;
}

/// Finds the arguments that `weight` is made of.
static bool traceWeight(GemmGroup &group, Value weight) {
  auto dequantize = weight.getDefiningOp<nn::DequantizeOp>();
  auto argument = argumentNumber(dequantize ? dequantize.getQ() : weight);
  if (!argument)
    return false;
  group.weights.push_back(*argument);
  if (!dequantize) {
    group.weightType = floatDType(tensorType(weight).getElementType());
    return group.weightType != DType::Invalid;
  }
  auto scales = argumentNumber(dequantize.getScales());
  if (!scales)
    return false;
  GemmGroup::Quantised &quantised = group.quantised.emplace();
  quantised.scales.push_back(*scales);
  quantised.scaleType = floatDType(tensorType(dequantize.getScales()).getElementType());
  quantised.bits = tensorType(dequantize.getQ()).getElementType().isUnsignedInteger(8) ? 4 : 8;
  quantised.group = static_cast<int64_t>(dequantize.getGroup());
  return tensorType(weight).getElementType().isF32() && quantised.scaleType != DType::Invalid;
}

/// Whether products of `a` and `b` can share one kernel.
static bool agree(const GemmGroup &a, const GemmGroup &b) {
  if (a.quantised.has_value() != b.quantised.has_value() ||
      (a.quantised && std::tie(a.quantised->scaleType, a.quantised->bits, a.quantised->group) !=
                          std::tie(b.quantised->scaleType, b.quantised->bits, b.quantised->group)))
    return false;
  return std::tie(a.tokens, a.places, a.offsets, a.experts, a.n, a.k, a.weightType) ==
         std::tie(b.tokens, b.places, b.offsets, b.experts, b.n, b.k, b.weightType);
}

static bool addProduct(GemmGroup &group, const ProductOperands &product, bool isFirst) {
  auto offsets = argumentNumber(product.offsets);
  auto type = tensorType(product.weight);
  auto shape = type.getShape();
  GemmGroup part;
  if ((product.offsets && !offsets) || !type.hasStaticShape() ||
      !traceWeight(part, product.weight) || !traceTokens(part, product.input))
    return false;
  part.offsets = offsets;
  part.experts = product.offsets ? shape[0] : 1;
  part.n = shape[shape.size() - 2];
  part.k = shape.back();
  if (isFirst) {
    group = std::move(part);
    return true;
  }
  if (group.weights.size() == 2 || !agree(group, part))
    return false;
  group.weights.append(part.weights);
  if (group.quantised)
    group.quantised->scales.append(part.quantised->scales);
  return true;
}

static std::optional<GemmGroup> analyse(mlir::func::FuncOp kernel) {
  if (llvm::any_of(tiedResults(kernel), [](int64_t tied) { return tied >= 0; }))
    return std::nullopt;
  GemmGroup group;
  llvm::SmallVector<Value> sums;
  for (mlir::Operation &op : kernel.getBody().front())
    if (auto product = productOperands(&op)) {
      if (!addProduct(group, *product, sums.empty()) ||
          !tensorType(op.getResult(0)).getElementType().isF32())
        return std::nullopt;
      sums.push_back(op.getResult(0));
    }
  constexpr int64_t most = int64_t(1) << 30; // extents are ints on the device
  if (sums.empty() || group.tokenType == DType::Invalid || group.rows < 1 || group.n < 1 ||
      group.k < 1 || group.experts < 1 || group.rows > most || group.n > most || group.k > most)
    return std::nullopt;
  auto tail = makeFunctor(kernel, sums, "Element");
  if (!tail)
    return std::nullopt;
  group.tail = std::move(*tail);
  group.bindings = kernel.getNumArguments() + kernel.getNumResults();
  return group;
}

std::optional<GemmGroup> analyseGemm(mlir::func::FuncOp kernel) {
  auto group = analyse(kernel);
  return group && !group->quantised ? group : std::nullopt;
}

std::optional<GemmGroup> analyseQuantisedGemm(mlir::func::FuncOp kernel) {
  auto group = analyse(kernel);
  return group && group->quantised ? group : std::nullopt;
}

std::string bindingParameters(const GemmGroup &group) {
  std::string text;
  for (unsigned i = 0; i < group.bindings; ++i)
    text += llvm::formatv("{0}void *b{1}", i ? ", " : "", i);
  return text;
}

std::string nameByContent(std::string &source, llvm::StringRef prefix) {
  std::string name = prefix.str() + "_" + digestOf(source);
  for (size_t at = 0; (at = source.find("NAME", at)) != std::string::npos; at += name.size())
    source.replace(at, 4, name);
  return name;
}

} // namespace levin::cuda
