// Opens libraries with passes and dialects.
#ifndef LEVIN_TOOLS_LEVINOPT_PLUGINLOADER_H
#define LEVIN_TOOLS_LEVINOPT_PLUGINLOADER_H

#include "runtime/base/Status.h"

#include <string>
#include <vector>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace levin::tool {

/// Which entry point a plugin must have.
enum class PluginKind {
  Levin,   // levinPluginInfo (dialects/Plugin.h)
  Pass,    // mlirGetPassPluginInfo
  Dialect, // mlirGetDialectPluginInfo
};

/// Opens the plugin at `path` and registers what it brings.  Its dialects go to `registry`.
/// Failures are LV2005: the file cannot be opened, has no entry point of that kind, or was built
/// for another version of LLVM, Levin or the plugin interface.
Status loadPlugin(const std::string &path, PluginKind kind, mlir::DialectRegistry &registry);

/// Takes `--load-plugin`, `--load-pass-plugin` and `--load-dialect-plugin` (with `=` or a separate
/// value) out of `args` and loads what they name.  To be called before flags are parsed, since
/// plugins bring some.
Status loadPlugins(std::vector<char *> &args, mlir::DialectRegistry &registry);

} // namespace levin::tool

#endif // LEVIN_TOOLS_LEVINOPT_PLUGINLOADER_H
