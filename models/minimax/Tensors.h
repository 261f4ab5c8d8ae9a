// The tensors of a MiniMax-01 checkpoint, by the names of the released files.
#ifndef LEVIN_MODELS_MINIMAX_TENSORS_H
#define LEVIN_MODELS_MINIMAX_TENSORS_H

#include "models/Checkpoint.h"
#include "models/minimax/Config.h"

#include <string>
#include <string_view>
#include <vector>

namespace levin::models::minimax {

/// "model.layers.3.self_attn." and so on.
std::string attentionPrefix(uint64_t layer);
std::string expertsPrefix(uint64_t layer);
/// The weights called "w1", "w2" or "w3" of every expert of `layer`, in order of the experts.
std::vector<std::string> expertKeys(const Config &config, uint64_t layer, std::string_view weight);

/// Every tensor that the model reads, with its shape.
std::vector<ExpectedTensor> expectedTensors(const Config &config);

/// Elements of all tensors of the model together.
uint64_t parameterCount(const std::vector<ExpectedTensor> &tensors);

/// Whether `name` is a tensor that may be stored and is not read: the decay buffers that the
/// transformers library saves, which follow from the configuration, and a head that is tied to the
/// embedding.
bool isKnownAndUnused(const Config &config, std::string_view name);

} // namespace levin::models::minimax

#endif // LEVIN_MODELS_MINIMAX_TENSORS_H
