#include "models/minimax/Builder.h"

#include "models/minimax/Tensors.h"

#include "dialects/moe/Moe.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

namespace levin::models::minimax {

using namespace mlir;

static constexpr int64_t dynamic = ShapedType::kDynamic;

namespace {

class Builder {
public:
  Builder(const Config &config, StepBuilder &step) : config(config), step(step) {}

  void run();

private:
  std::vector<StateSpec> states();
  Value layer(uint64_t index, Value x);
  Value lightning(uint64_t index, Value h);
  Value softmax(uint64_t index, Value h);
  Value rotate(Value heads);
  Value experts(uint64_t index, Value h);
  Value head(Value x);

  // "layer3.attention", for names of parameters and locations.
  static std::string named(uint64_t index, std::string_view part) {
    return fmt::format("layer{}.{}", index, part);
  }
  OpBuilder &ops() { return step.builder(); }

  const Config &config;
  StepBuilder &step;
  size_t nextState = 0;
  int64_t d = static_cast<int64_t>(config.hidden), heads = static_cast<int64_t>(config.heads),
          kvHeads = static_cast<int64_t>(config.kvHeads),
          headDim = static_cast<int64_t>(config.headDim),
          width = static_cast<int64_t>(config.width()),
          vocabulary = static_cast<int64_t>(config.vocabulary);
};

} // namespace

std::vector<StateSpec> Builder::states() {
  std::vector<StateSpec> specs;
  for (uint64_t i = 0; i < config.layers; ++i) {
    if (config.mixers[i] == Mixer::Lightning) {
      specs.push_back(
          {named(i, "state"), step.tensor({dynamic, heads, headDim, headDim}, step.f32())});
      continue;
    }
    // Keys lie transposed within a block, so that scores read them in order.
    specs.push_back({named(i, "keys"),
                     step.tensor({dynamic, kvHeads, dynamic, headDim, cacheBlock}, step.f32())});
    specs.push_back({named(i, "values"),
                     step.tensor({dynamic, kvHeads, dynamic, cacheBlock, headDim}, step.f32())});
  }
  return specs;
}

void Builder::run() {
  step.begin(config.vocabulary, states());
  step.at("embed");
  Value table = step.matrix("embed", std::string("model.embed_tokens.weight"), {vocabulary, d});
  Value x = nn::EmbedOp::create(ops(), step.loc(), step.tensor({dynamic, d}, step.f32()),
                                step.ids(), table);
  for (uint64_t i = 0; i < config.layers; ++i)
    x = layer(i, x);
  step.finish(head(x));
}

// The residual of both halves is the normed h; the raw x goes no further ("postnorm").
Value Builder::layer(uint64_t index, Value x) {
  std::string prefix = fmt::format("model.layers.{}.", index);
  bool isLightning = config.mixers[index] == Mixer::Lightning;
  const ResidualScale &scale = isLightning ? config.lightning : config.softmax;

  step.at(named(index, "attention"));
  Value weight =
      step.vector(named(index, "attention.input_norm"), prefix + "input_layernorm.weight", d);
  Value h = step.rmsNorm(x, weight, config.eps);
  Value mixed = isLightning ? lightning(index, h) : softmax(index, h);
  x = step.residual(h, mixed, scale.alpha, scale.beta);

  step.at(named(index, "experts"));
  weight = step.vector(named(index, "experts.input_norm"),
                       prefix + "post_attention_layernorm.weight", d);
  h = step.rmsNorm(x, weight, config.eps);
  return step.residual(h, experts(index, h), config.mlp.alpha, config.mlp.beta);
}

// out = (sigmoid(h Wg^T) * rms(concat_heads(o))) Wo^T  with q, k, v all through SiLU; the rows of
// Wqkv are q, k, v of head 0, then of head 1, and so on.
Value Builder::lightning(uint64_t index, Value h) {
  std::string keys = attentionPrefix(index), names = named(index, "attention.");
  Value joint =
      step.linear(h, step.matrix(names + "qkv", keys + "qkv_proj.weight", {3 * width, d}));
  joint = nn::SiluOp::create(ops(), step.loc(), joint.getType(), joint);
  SmallVector<Value> qkv = step.splitHeads(joint, {heads, heads, heads}, headDim, true);
  Value slopes = step.constant(names + "slopes", decayRates(config, index));
  auto mixed = nn::LightningAttentionOp::create(
      ops(), step.loc(), step.tensor({dynamic, width}, step.f32()), step.state(nextState).getType(),
      qkv[0], qkv[1], qkv[2], slopes, step.state(nextState), step.starts(), step.slots(),
      step.past());
  step.setState(nextState++, mixed.getNewState());
  Value normed = step.rmsNorm(
      mixed.getOutput(), step.vector(names + "norm", keys + "norm.weight", width), lightningEps);
  Value gate = step.linear(h, step.matrix(names + "gate", keys + "output_gate.weight", {width, d}));
  gate = nn::SigmoidOp::create(ops(), step.loc(), gate.getType(), gate);
  Value gated = arith::MulFOp::create(ops(), step.loc(), gate, normed);
  return step.linear(gated, step.matrix(names + "out", keys + "out_proj.weight", {d, width}));
}

Value Builder::rotate(Value heads) {
  return nn::RotaryOp::create(ops(), step.loc(), heads.getType(), heads, step.starts(), step.past(),
                              ops().getF64FloatAttr(config.theta),
                              ops().getI64IntegerAttr(static_cast<int64_t>(config.rotaryWidth)));
}

Value Builder::softmax(uint64_t index, Value h) {
  std::string keys = attentionPrefix(index), names = named(index, "attention.");
  int64_t kvWidth = kvHeads * headDim;
  std::string sources[] = {keys + "q_proj.weight", keys + "k_proj.weight", keys + "v_proj.weight"};
  Value joint = step.linear(h, step.matrix(names + "qkv", sources, {width + 2 * kvWidth, d}));
  SmallVector<Value> qkv = step.splitHeads(joint, {heads, kvHeads, kvHeads}, headDim, false);
  Value oldKeys = step.state(nextState), oldValues = step.state(nextState + 1);
  auto mixed = nn::AttentionOp::create(
      ops(), step.loc(), step.tensor({dynamic, width}, step.f32()), oldKeys.getType(),
      oldValues.getType(), rotate(qkv[0]), rotate(qkv[1]), qkv[2], oldKeys, oldValues,
      step.starts(), step.slots(), step.past(),
      ops().getF64FloatAttr(1.0 / std::sqrt(static_cast<double>(headDim))));
  step.setState(nextState++, mixed.getNewKeys());
  step.setState(nextState++, mixed.getNewValues());
  return step.linear(mixed.getOutput(),
                     step.matrix(names + "out", keys + "o_proj.weight", {d, width}));
}

Value Builder::experts(uint64_t index, Value h) {
  std::string names = named(index, "experts.");
  int64_t count = static_cast<int64_t>(config.experts),
          f = static_cast<int64_t>(config.intermediate);
  Value scores = step.linear(
      h, step.matrix(names + "router", expertsPrefix(index) + "gate.weight", {count, d}));
  auto route = moe::RouteOp::create(ops(), step.loc(), scores, step.starts(),
                                    ops().getI64IntegerAttr(static_cast<int64_t>(config.choices)),
                                    ops().getUnitAttr());
  auto stack = [&](std::string_view weight, ArrayRef<int64_t> shape) {
    return step.matrix(names + std::string(weight), expertKeys(config, index, weight), shape,
                       nn::Join::Stack);
  };
  Value gate = stack("w1", {count, f, d}), up = stack("w3", {count, f, d}),
        down = stack("w2", {count, d, f});
  Value dispatched = moe::DispatchOp::create(ops(), step.loc(), h, route.getRows());
  Value results = moe::ExpertsOp::create(ops(), step.loc(), dispatched.getType(), dispatched,
                                         route.getOffsets(), gate, up, down);
  return moe::CombineOp::create(ops(), step.loc(), results, route.getRows(), route.getWeights());
}

// Logits of the wanted rows only, in float32.
Value Builder::head(Value x) {
  step.at("head");
  Value taken = nn::TakeRowsOp::create(ops(), step.loc(), x, step.rows());
  Value normed = step.rmsNorm(taken, step.vector("norm", "model.norm.weight", d), config.eps);
  Value weight =
      config.tied ? step.matrix("embed", std::string("model.embed_tokens.weight"), {vocabulary, d})
                  : step.matrix("head", std::string("lm_head.weight"), {vocabulary, d});
  Value logits = step.linear(normed, weight);
  if (config.vocabulary > trainedVocabulary) // their logits would be 0, and could win
    logits = nn::MaskTailOp::create(ops(), step.loc(), logits.getType(), logits,
                                    ops().getI64IntegerAttr(trainedVocabulary));
  return logits;
}

void buildStep(const Config &config, StepBuilder &builder) { Builder(config, builder).run(); }

} // namespace levin::models::minimax
