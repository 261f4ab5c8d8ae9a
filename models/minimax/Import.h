// The family `minimax`: MiniMax-Text-01, MiniMax-M1 and models of their architecture.
#ifndef LEVIN_MODELS_MINIMAX_IMPORT_H
#define LEVIN_MODELS_MINIMAX_IMPORT_H

#include "models/Family.h"

namespace levin::models::minimax {

/// Reads the configuration, checks the tensors and builds the module.
Result<ImportedModel> importModel(const ModelFolder &folder, const ImportOptions &options,
                                  mlir::MLIRContext &context);

} // namespace levin::models::minimax

#endif // LEVIN_MODELS_MINIMAX_IMPORT_H
