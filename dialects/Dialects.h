// All dialects of the project.
#ifndef LEVIN_DIALECTS_DIALECTS_H
#define LEVIN_DIALECTS_DIALECTS_H

#include "dialects/check/Check.h"
#include "dialects/exec/Exec.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

namespace levin {

/// Makes the project's dialects known.  Upstream's are the caller's choice.
inline void registerLevinDialects(mlir::DialectRegistry &registry) {
  registry.insert<check::CheckDialect, exec::ExecDialect, moe::MoeDialect, nn::NNDialect>();
}

} // namespace levin

#endif // LEVIN_DIALECTS_DIALECTS_H
