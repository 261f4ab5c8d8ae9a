// The configuration of a MiniMax-01 text model.
//
// Two dialects of config.json are read into one struct: `minimax_text_01`, that of the released
// weights and their remote code (MiniMax-Text-01, MiniMax-M1), and `minimax`, that of the
// transformers library.  Sources: arXiv:2501.08313; modeling_minimax_text_01.py of
// MiniMaxAI/MiniMax-Text-01; transformers/models/minimax.
#ifndef LEVIN_MODELS_MINIMAX_CONFIG_H
#define LEVIN_MODELS_MINIMAX_CONFIG_H

#include "runtime/base/Json.h"
#include "runtime/base/Status.h"
#include "runtime/weights/DType.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace levin::models::minimax {

enum class Dialect { Text01, Transformers };
enum class Mixer { Lightning, Softmax };

/// x = alpha h + beta layer(h).
struct ResidualScale {
  double alpha = 1, beta = 1;
};

struct Config {
  Dialect dialect = Dialect::Transformers;
  uint64_t hidden = 0;       // d
  uint64_t intermediate = 0; // F, width of an expert
  uint64_t layers = 0;       // L
  uint64_t heads = 0;        // H, query heads
  uint64_t kvHeads = 0;      // G, of softmax layers
  uint64_t headDim = 0;      // D
  uint64_t experts = 0;      // E
  uint64_t choices = 0;      // experts a token
  uint64_t vocabulary = 0;   // rows of the embedding
  uint64_t rotaryWidth = 0;  // channels of a head that rotate, even
  double theta = 0;          // base of the rotary angles
  double eps = 0;            // of the RMS norms but the lightning norm
  std::vector<Mixer> mixers; // one a layer
  ResidualScale lightning, softmax, mlp;
  bool tied = false; // the head is the embedding
  std::optional<int64_t> beginToken;
  std::vector<int64_t> endTokens;
  std::optional<weights::DType> dtype; // of the weights, if stated
  std::vector<std::string> notes, warnings;

  uint64_t width() const { return heads * headDim; } // of a mixer, not always d
  uint64_t lightningLayers() const;
};

/// eps of the norm within a lightning layer, fixed in the published code.
inline constexpr double lightningEps = 1e-6;
/// Rows of the vocabulary from here on were never trained: they are zero in the released weights.
inline constexpr uint64_t trainedVocabulary = 200032;

/// Reads a parsed config.json.  `generation` is generation_config.json or null; its end tokens win.
/// `overrides` were applied to `config` before and are named if they set no known key (LV2002).
/// Failures: LV1004 for a missing or unusable value, LV1005 for two spellings that disagree, LV1006
/// for a branch that is not supported or a key that may matter and is not known.
Result<Config> readConfig(const Json &config, const Json &generation,
                          const std::vector<std::string> &overrides);

/// Decay rates s of the heads of lightning layer `layer` (counted among all layers), in float64:
/// the state of head h is multiplied by exp(-s[h]) for each token.  With b the slopes of ALiBi,
/// 2^(-8(h+1)/H):
///     minimax_text_01   s = b_h (1 - l/(L-1) + 1e-5)
///     minimax           s = b_h (1 - l/(L-1+1e-5) + 1e-5)
/// Where H is no power of two, the first dialect's code takes ALiBi's interleaved list, the
/// other's the formula as it stands.
std::vector<double> decayRates(const Config &config, uint64_t layer);

} // namespace levin::models::minimax

#endif // LEVIN_MODELS_MINIMAX_CONFIG_H
