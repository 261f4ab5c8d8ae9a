// The module that an import builds: its arguments, its parameters, and what names them.
#include "ModelFolders.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

using namespace levin;
using namespace levin::test;

namespace {

class Import : public testing::Test {
protected:
  // Imports `config` with weights of zeros in `dtype`.
  models::ImportedModel import(const Json &config, weights::DType dtype = weights::DType::F32,
                               models::ImportOptions options = {}) {
    folder.writeConfig(config);
    writeWeights(folder, "model.safetensors", tensorsOf(config, dtype));
    auto model = models::importFolder(folder.path(), options, context);
    EXPECT_TRUE(model.ok()) << model.status().text();
    return model.ok() ? std::move(*model) : models::ImportedModel();
  }

  static mlir::Type typeOf(const models::ImportedModel &model, llvm::StringRef parameter) {
    mlir::ModuleOp module = *model.module;
    auto op = module.lookupSymbol<nn::ParameterOp>(parameter);
    EXPECT_TRUE(op) << parameter.str();
    return op ? mlir::cast<mlir::RankedTensorType>(op.getType()).getElementType() : mlir::Type();
  }

  template <typename Op> static std::vector<Op> all(const models::ImportedModel &model) {
    std::vector<Op> ops;
    mlir::ModuleOp module = *model.module;
    module.walk([&](Op op) { ops.push_back(op); });
    return ops;
  }

  Folder folder;
  mlir::MLIRContext context;
};

TEST_F(Import, StepFunction) {
  models::ImportedModel model = import(text01Config());
  auto step = model.module->lookupSymbol<mlir::func::FuncOp>("step");
  ASSERT_TRUE(step);
  ASSERT_EQ(step.getNumArguments(), 8u); // five of the batch, one state, keys and values
  ASSERT_EQ(step.getNumResults(), 4u);
  auto role = [&](unsigned i) {
    return step.getArgAttrOfType<nn::RoleAttr>(i, "nn.role").getValue();
  };
  EXPECT_EQ(role(0), nn::Role::Ids);
  EXPECT_EQ(role(4), nn::Role::Rows);
  EXPECT_EQ(role(5), nn::Role::State);
  const char *names[] = {"layer0.state", "layer1.keys", "layer1.values"};
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_EQ(step.getArgAttrOfType<mlir::StringAttr>(5 + i, "nn.name").getValue(), names[i]);
    EXPECT_EQ(step.getResultAttrOfType<mlir::StringAttr>(1 + i, "nn.name").getValue(), names[i]);
    EXPECT_EQ(step.getArgumentTypes()[5 + i], step.getResultTypes()[1 + i]);
  }
  EXPECT_EQ((*model.module)->getAttrOfType<mlir::StringAttr>("nn.family").getValue(), "minimax");
  EXPECT_EQ((*model.module)->getAttrOfType<mlir::IntegerAttr>("nn.vocabulary").getInt(), 40);
}

TEST_F(Import, Constants) {
  Json config = text01Config();
  config["layernorm_linear_attention_alpha"] = 3.0;
  config["layernorm_full_attention_beta"] = 0.5;
  models::ImportedModel model = import(config);
  std::vector<double> eps;
  for (nn::RmsNormOp norm : all<nn::RmsNormOp>(model))
    eps.push_back(norm.getEps().convertToDouble());
  EXPECT_EQ(eps, (std::vector<double>{1e-5, 1e-6, 1e-5, 1e-5, 1e-5, 1e-5}))
      << "the norm within a lightning layer has its own eps";
  auto residuals = all<nn::ResidualOp>(model);
  ASSERT_EQ(residuals.size(), 4u);
  EXPECT_EQ(residuals[0].getAlpha().convertToDouble(), 3.0);
  EXPECT_EQ(residuals[1].getAlpha().convertToDouble(), 1.0);
  EXPECT_EQ(residuals[2].getBeta().convertToDouble(), 0.5);
  for (nn::ResidualOp residual : residuals)
    EXPECT_TRUE(residual.getInput().getDefiningOp<nn::RmsNormOp>())
        << "the residual is the normed input";
  for (nn::RotaryOp rotary : all<nn::RotaryOp>(model)) {
    EXPECT_EQ(rotary.getWidth(), 4u);
    EXPECT_EQ(rotary.getTheta().convertToDouble(), 1e7);
  }
  auto attention = all<nn::AttentionOp>(model);
  ASSERT_EQ(attention.size(), 1u);
  EXPECT_DOUBLE_EQ(attention[0].getScale().convertToDouble(), 0.35355339059327373);
}

TEST_F(Import, SlopesAreRoundedOnce) {
  models::ImportedModel model = import(text01Config());
  auto slopes = model.module->lookupSymbol<nn::ParameterOp>("layer0.attention.slopes");
  ASSERT_TRUE(slopes);
  auto values = mlir::cast<mlir::DenseElementsAttr>(slopes.getValueAttr()).getValues<float>();
  std::vector<double> rates = models::minimax::decayRates(read(text01Config()), 0);
  for (size_t h = 0; h < rates.size(); ++h)
    EXPECT_EQ(values[h], static_cast<float>(rates[h]));
}

TEST_F(Import, NamesOfLocations) {
  models::ImportedModel model = import(transformersConfig());
  auto attention = all<nn::AttentionOp>(model);
  ASSERT_EQ(attention.size(), 1u);
  auto location = mlir::dyn_cast<mlir::NameLoc>(attention[0].getLoc());
  ASSERT_TRUE(location);
  EXPECT_EQ(location.getName(), "layer1.attention");
  auto routes = all<moe::RouteOp>(model);
  EXPECT_EQ(mlir::cast<mlir::NameLoc>(routes.front().getLoc()).getName(), "layer0.experts");
}

TEST_F(Import, ElementTypes) {
  models::ImportedModel stored = import(transformersConfig(), weights::DType::BF16);
  EXPECT_TRUE(typeOf(stored, "layer0.attention.qkv").isBF16());
  EXPECT_TRUE(typeOf(stored, "layer0.attention.norm").isF32()) << "vectors stay in float32";
  EXPECT_TRUE(typeOf(import(transformersConfig(), weights::DType::F16), "head").isF16());
  EXPECT_TRUE(typeOf(import(transformersConfig(), weights::DType::F64), "head").isF32());
  models::ImportOptions options;
  options.dtype = weights::DType::F32;
  models::ImportedModel wide = import(transformersConfig(), weights::DType::BF16, options);
  EXPECT_TRUE(typeOf(wide, "layer1.experts.w2").isF32());
  EXPECT_GT(wide.bytes, stored.bytes);
}

TEST_F(Import, TiedHeadSharesItsParameter) {
  Json config = transformersConfig();
  config["tie_word_embeddings"] = true;
  models::ImportedModel model = import(config);
  EXPECT_FALSE(model.module->lookupSymbol("head"));
  size_t uses = 0;
  for (nn::UseOp use : all<nn::UseOp>(model))
    uses += use.getParameter() == "embed";
  EXPECT_EQ(uses, 2u);
}

TEST_F(Import, UntrainedVocabularyIsMasked) {
  Json config = transformersConfig();
  config["vocab_size"] = 200064;
  models::ImportedModel model = import(config, weights::DType::F16);
  auto masks = all<nn::MaskTailOp>(model);
  ASSERT_EQ(masks.size(), 1u);
  EXPECT_EQ(masks[0].getLive(), 200032u);
  EXPECT_TRUE(all<nn::MaskTailOp>(import(transformersConfig())).empty());
}

TEST_F(Import, Assets) {
  for (const char *name : {"tokenizer.json", "golden.json", "README.md", "golden_nll.safetensors"})
    folder.write(name, "x");
  models::ImportedModel model = import(transformersConfig());
  std::vector<std::string> names;
  for (const models::Asset &asset : model.assets)
    names.push_back(asset.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"golden.json", "golden_nll.safetensors", "tokenizer.json"}));
}

TEST_F(Import, CheckOnlyBuildsNothing) {
  models::ImportOptions options;
  options.checkOnly = true;
  models::ImportedModel model = import(transformersConfig(), weights::DType::F32, options);
  EXPECT_FALSE(model.module);
  EXPECT_GT(model.parameters, 0u);
}

} // namespace
