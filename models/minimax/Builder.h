// The MiniMax-01 text model as a step function at model level.
#ifndef LEVIN_MODELS_MINIMAX_BUILDER_H
#define LEVIN_MODELS_MINIMAX_BUILDER_H

#include "models/StepBuilder.h"
#include "models/minimax/Config.h"

namespace levin::models::minimax {

/// Positions of a key-value cache that lie together; see nn.attention.
inline constexpr int64_t cacheBlock = 16;

/// Builds the step of the model into `builder`, which must be new.
void buildStep(const Config &config, StepBuilder &builder);

} // namespace levin::models::minimax

#endif // LEVIN_MODELS_MINIMAX_BUILDER_H
