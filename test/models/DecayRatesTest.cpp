// Decay rates against values computed independently (python3, math.pow in float64): a wrong rate
// hides under every tolerance of logits.
#include "ModelFolders.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace levin;
using namespace levin::models::minimax;

namespace {

Config model(Dialect dialect, uint64_t heads, uint64_t layers) {
  Config config;
  config.dialect = dialect;
  config.heads = heads;
  config.layers = layers;
  return config;
}

void expectRates(const Config &config, uint64_t layer, const std::vector<double> &want) {
  std::vector<double> rates = decayRates(config, layer);
  ASSERT_EQ(rates.size(), config.heads);
  for (size_t h = 0; h < want.size(); ++h)
    EXPECT_NEAR(rates[h] / want[h], 1.0, 1e-14) << "head " << h;
}

TEST(DecayRates, Text01Of64Heads) {
  Config config = model(Dialect::Text01, 64, 80);
  expectRates(config, 0, {0.9170132132451033, 0.840904824217867, 0.7711131237580975});
  EXPECT_NEAR(decayRates(config, 0)[31] / 0.06250062499999996, 1.0, 1e-14);
  EXPECT_NEAR(decayRates(config, 0)[63] / 0.003906289062499995, 1.0, 1e-14);
  expectRates(config, 7, {0.8357596904294994, 0.7663950152713354, 0.7027873276957203});
  EXPECT_NEAR(decayRates(config, 7)[31] / 0.05696265031645566, 1.0, 1e-14);
  EXPECT_NEAR(decayRates(config, 7)[63] / 0.0035601656447784764, 1.0, 1e-14);
  expectRates(config, 42, {0.4294920763514806, 0.3938459705386771, 0.36115834738383473});
  EXPECT_NEAR(decayRates(config, 42)[31] / 0.029272776898734164, 1.0, 1e-14);
  EXPECT_NEAR(decayRates(config, 42)[63] / 0.0018295485561708842, 1.0, 1e-14);
  expectRates(config, 79, {9.170040432046713e-06, 8.408964152537146e-06, 7.711054127039705e-06});
  EXPECT_NEAR(decayRates(config, 79)[31] / 6.249999999999997e-07, 1.0, 1e-14);
  EXPECT_NEAR(decayRates(config, 79)[63] / 3.906249999999996e-08, 1.0, 1e-14);
}

TEST(DecayRates, Text01Of4Heads) {
  Config config = model(Dialect::Text01, 4, 8);
  expectRates(config, 0, {0.2500025, 0.062500625, 0.01562515625, 0.0039062890625});
  expectRates(
      config, 3,
      {0.14285964285714284, 0.03571491071428571, 0.008928727678571427, 0.002232181919642857});
  expectRates(config, 7, {2.5e-06, 6.25e-07, 1.5625e-07, 3.90625e-08});
}

TEST(DecayRates, Text01Of6Heads) {
  Config config = model(Dialect::Text01, 6, 8);
  expectRates(config, 0,
              {0.2500025, 0.062500625, 0.01562515625, 0.0039062890625, 0.500005, 0.12500125});
  expectRates(config, 5,
              {0.07143107142857143, 0.017857767857142857, 0.004464441964285714,
               0.0011161104910714285, 0.14286214285714285, 0.035715535714285714});
  expectRates(config, 7, {2.5e-06, 6.25e-07, 1.5625e-07, 3.90625e-08, 5e-06, 1.25e-06});
}

TEST(DecayRates, TransformersOf64Heads) {
  Config config = model(Dialect::Transformers, 64, 80);
  expectRates(config, 0, {0.9170132132451033, 0.840904824217867, 0.7711131237580975});
  EXPECT_NEAR(decayRates(config, 0)[31] / 0.062500625, 1.0, 1e-14);
  EXPECT_NEAR(decayRates(config, 0)[63] / 0.0039062890625, 1.0, 1e-14);
  expectRates(config, 7, {0.8357597007147543, 0.7663950247029555, 0.7027873363445541});
  EXPECT_NEAR(decayRates(config, 7)[31] / 0.05696265101746506, 1.0, 1e-14);
  EXPECT_NEAR(decayRates(config, 7)[63] / 0.0035601656885915663, 1.0, 1e-14);
  expectRates(config, 42, {0.42949213806300907, 0.39384602712839817, 0.36115839927683774});
  EXPECT_NEAR(decayRates(config, 42)[31] / 0.029272781104790365, 1.0, 1e-14);
  EXPECT_NEAR(decayRates(config, 42)[63] / 0.0018295488190493978, 1.0, 1e-14);
  expectRates(config, 79, {9.286116878511046e-06, 8.51540672326577e-06, 7.808662394766952e-06});
  EXPECT_NEAR(decayRates(config, 79)[31] / 6.329113914031038e-07, 1.0, 1e-14);
  EXPECT_NEAR(decayRates(config, 79)[63] / 3.9556961962693985e-08, 1.0, 1e-14);
}

TEST(DecayRates, TransformersOf4Heads) {
  Config config = model(Dialect::Transformers, 4, 8);
  expectRates(config, 0, {0.2500025, 0.062500625, 0.01562515625, 0.0039062890625});
  expectRates(
      config, 3,
      {0.14285979591814865, 0.03571494897953716, 0.00892873724488429, 0.0022321843112210727});
  expectRates(config, 7,
              {2.8571423469184156e-06, 7.142855867296039e-07, 1.7857139668240098e-07,
               4.4642849170600244e-08});
}

TEST(DecayRates, TransformersOf6Heads) {
  Config config = model(Dialect::Transformers, 6, 8);
  expectRates(config, 0,
              {0.39685423149467985, 0.15749170613817154, 0.062500625, 0.024803389468417494,
               0.00984323163363572, 0.0039062890625});
  expectRates(config, 5,
              {0.11339016287759932, 0.04499891595868665, 0.01785783163256195, 0.007086885179849958,
               0.0028124322474179153, 0.0011161144770351218});
  expectRates(config, 7,
              {4.5354307671211834e-06, 1.799886892714276e-06, 7.142855867296039e-07,
               2.83464422945074e-07, 1.1249293079464224e-07, 4.4642849170600244e-08});
}

// The formulas differ by less than the tolerance of any logit, so tell them apart here.
TEST(DecayRates, DialectsDiffer) {
  double ours = decayRates(model(Dialect::Text01, 4, 8), 7)[0];
  double theirs = decayRates(model(Dialect::Transformers, 4, 8), 7)[0];
  EXPECT_GT(std::abs(ours - theirs), 3e-7);
  EXPECT_LT(std::abs(ours - theirs), 6e-7);
}

// The layer index counts all layers, the softmax ones too; the released first layer starts at
// 2^(-1/8) and its last head at 2^-8.
TEST(DecayRates, ReleasedEnds) {
  std::vector<double> rates = decayRates(test::read(test::releasedConfig()), 0);
  EXPECT_NEAR(rates.front(), 0.9170040432046712 * 1.00001, 1e-14);
  EXPECT_NEAR(rates.back(), 0.00390625 * 1.00001, 1e-16);
}

} // namespace
