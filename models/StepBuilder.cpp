#include "models/StepBuilder.h"

namespace levin::models {

using namespace mlir;
using weights::DType;

static constexpr int64_t dynamic = ShapedType::kDynamic;

StepBuilder::StepBuilder(MLIRContext &context, const Checkpoint &checkpoint,
                         std::optional<DType> dtype, DType fallback)
    : build(&context), location(UnknownLoc::get(&context)),
      root(ModuleOp::create(UnknownLoc::get(&context))), checkpoint(checkpoint), dtype(dtype),
      fallback(fallback) {}

void StepBuilder::begin(uint64_t vocabulary, const std::vector<StateSpec> &states) {
  static constexpr nn::Role roles[] = {nn::Role::Ids, nn::Role::Starts, nn::Role::Slots,
                                       nn::Role::Past, nn::Role::Rows};
  MLIRContext *context = build.getContext();
  auto roleOf = [&](nn::Role role) {
    return build.getNamedAttr("nn.role", nn::RoleAttr::get(context, role));
  };
  SmallVector<Type> inputs(std::size(roles), tensor({dynamic}, build.getI32Type()));
  SmallVector<Type> results = {tensor({dynamic, static_cast<int64_t>(vocabulary)}, f32())};
  SmallVector<DictionaryAttr> inputAttrs, resultAttrs;
  for (nn::Role role : roles)
    inputAttrs.push_back(build.getDictionaryAttr(roleOf(role)));
  resultAttrs.push_back(build.getDictionaryAttr(roleOf(nn::Role::Logits)));
  for (const StateSpec &state : states) {
    inputs.push_back(state.type);
    results.push_back(state.type);
    DictionaryAttr attrs = build.getDictionaryAttr(
        {roleOf(nn::Role::State), build.getNamedAttr("nn.name", build.getStringAttr(state.name))});
    inputAttrs.push_back(attrs);
    resultAttrs.push_back(attrs);
  }
  at("step");
  build.setInsertionPointToEnd(root->getBody());
  step = func::FuncOp::create(build, loc(), "step", build.getFunctionType(inputs, results));
  step.setAllArgAttrs(inputAttrs);
  step.setAllResultAttrs(resultAttrs);
  build.setInsertionPointToStart(step.addEntryBlock());
  for (size_t i = 0; i < states.size(); ++i)
    stateValues.push_back(step.getArgument(std::size(roles) + i));
}

void StepBuilder::finish(Value logits) {
  SmallVector<Value> results = {logits};
  results.append(stateValues.begin(), stateValues.end());
  at("step");
  func::ReturnOp::create(build, loc(), results);
}

// The type that all pieces are cast to: the one asked for, else the stored one.  Pieces of several
// types, and float64, become float32.
Type StepBuilder::elementType(ArrayRef<std::string> keys) {
  std::optional<DType> type = dtype;
  for (const std::string &key : keys) {
    if (dtype)
      break;
    const StoredTensor *stored = checkpoint.find(key);
    DType own = checkpoint.headersRead && stored ? stored->dtype : fallback;
    type = type && *type != own ? DType::F32 : own;
  }
  if (type == DType::BF16)
    return build.getBF16Type();
  if (type == DType::F16)
    return build.getF16Type();
  return f32();
}

Value StepBuilder::use(StringRef name, RankedTensorType type) {
  return nn::UseOp::create(build, loc(), type, FlatSymbolRefAttr::get(build.getContext(), name));
}

Value StepBuilder::declare(const std::string &name, ArrayRef<std::string> keys,
                           RankedTensorType type, nn::Join join) {
  auto [place, isNew] = declared.try_emplace(name, type);
  if (isNew) {
    OpBuilder::InsertionGuard guard(build);
    build.setInsertionPoint(step);
    SmallVector<Attribute> pieces;
    for (const std::string &key : keys)
      pieces.push_back(nn::PieceAttr::get(build.getContext(), key, {}, {}));
    nn::ParameterOp::create(build, loc(), build.getStringAttr(name), TypeAttr::get(type),
                            nn::JoinAttr::get(build.getContext(), join), build.getArrayAttr(pieces),
                            ElementsAttr());
    bytes += static_cast<uint64_t>(type.getNumElements()) * type.getElementTypeBitWidth() / 8;
  }
  return use(name, place->second);
}

Value StepBuilder::matrix(const std::string &name, ArrayRef<std::string> keys,
                          ArrayRef<int64_t> shape, nn::Join join) {
  return declare(name, keys, tensor(shape, elementType(keys)), join);
}

Value StepBuilder::vector(const std::string &name, const std::string &key, int64_t size) {
  return declare(name, key, tensor({size}, f32()), nn::Join::Concat);
}

Value StepBuilder::constant(const std::string &name, ArrayRef<double> values) {
  RankedTensorType type = tensor({static_cast<int64_t>(values.size())}, f32());
  SmallVector<float> rounded(values.begin(), values.end());
  {
    OpBuilder::InsertionGuard guard(build);
    build.setInsertionPoint(step);
    nn::ParameterOp::create(build, loc(), build.getStringAttr(name), TypeAttr::get(type),
                            nn::JoinAttr(), ArrayAttr(),
                            DenseElementsAttr::get(type, ArrayRef<float>(rounded)));
  }
  return use(name, type);
}

Value StepBuilder::linear(Value input, Value weight) {
  return nn::LinearOp::create(build, loc(), input, weight, Value());
}

Value StepBuilder::rmsNorm(Value input, Value weight, double eps) {
  return nn::RmsNormOp::create(build, loc(), input.getType(), input, weight,
                               build.getF64FloatAttr(eps));
}

Value StepBuilder::residual(Value input, Value layer, double alpha, double beta) {
  return nn::ResidualOp::create(build, loc(), input.getType(), input, layer,
                                build.getF64FloatAttr(alpha), build.getF64FloatAttr(beta));
}

SmallVector<Value> StepBuilder::splitHeads(Value input, ArrayRef<int64_t> heads, int64_t headDim,
                                           bool interleaved) {
  auto type = cast<RankedTensorType>(input.getType());
  SmallVector<Type> types;
  for (int64_t count : heads)
    types.push_back(tensor({type.getDimSize(0), count, headDim}, type.getElementType()));
  auto split = nn::SplitHeadsOp::create(build, loc(), types, input, interleaved);
  return SmallVector<Value>(split.getResults());
}

} // namespace levin::models
