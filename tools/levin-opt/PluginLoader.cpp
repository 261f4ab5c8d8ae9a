#include "tools/levin-opt/PluginLoader.h"

#include "dialects/Plugin.h"

#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Support/DynamicLibrary.h"

#include <cstring>
#include <optional>

namespace levin::tool {

static Status refuse(const std::string &path, std::string have, std::string need, std::string fix) {
  return makeError(ErrorCode::Plugin, "plugin '{}' cannot be loaded", path)
      .note("have", std::move(have))
      .note("need", std::move(need))
      .note("fix", std::move(fix));
}

static Status compareVersion(const std::string &path, const char *what, const char *have,
                             const char *need) {
  if (have && std::strcmp(have, need) == 0)
    return {};
  return refuse(path, fmt::format("built for {} {}", what, have ? have : "(not stated)"),
                fmt::format("{} {}", what, need),
                fmt::format("rebuild the plugin against {} {}", what, need));
}

/// Compares what `info` was built for with this program.
static Status verifyInfo(const std::string &path, const LevinPluginInfo *info) {
  if (!info)
    return refuse(path, "levinPluginInfo() returns nothing", "a record of the plugin",
                  "define it with LEVIN_PLUGIN of dialects/Plugin.h");
  if (info->apiVersion != LEVIN_PLUGIN_API_VERSION)
    return refuse(path, fmt::format("plugin interface {}", info->apiVersion),
                  fmt::format("plugin interface {}", LEVIN_PLUGIN_API_VERSION),
                  "rebuild the plugin against this version of Levin");
  LEVIN_RETURN_IF_ERROR(compareVersion(path, "LLVM", info->llvmVersion, LLVM_VERSION_STRING));
  return compareVersion(path, "Levin", info->levinVersion, LEVIN_VERSION_STRING);
}

/// Lets upstream's loader open `path`, and registers by `use`.
template <typename Plugin, typename Use>
static Status loadUpstream(const std::string &path, const char *entry, Use use) {
  llvm::Expected<Plugin> plugin = Plugin::load(path);
  if (!plugin)
    return refuse(path, llvm::toString(plugin.takeError()),
                  fmt::format("a library that exports {}", entry),
                  "rebuild the plugin against this version of LLVM");
  use(*plugin);
  return {};
}

Status loadPlugin(const std::string &path, PluginKind kind, mlir::DialectRegistry &registry) {
  std::string message;
  auto library = llvm::sys::DynamicLibrary::getPermanentLibrary(path.c_str(), &message);
  if (!library.isValid())
    return refuse(path, message, "a shared library",
                  "check the path; 'undefined symbol' means that it was built for another version");
  auto entry = reinterpret_cast<LevinPluginEntry>(library.getAddressOfSymbol("levinPluginInfo"));
  const LevinPluginInfo *info = nullptr;
  if (entry) {
    info = entry();
    LEVIN_RETURN_IF_ERROR(verifyInfo(path, info));
  }
  switch (kind) {
  case PluginKind::Levin:
    if (!info)
      return refuse(path, "no symbol levinPluginInfo", "a plugin of Levin",
                    "define it with LEVIN_PLUGIN of dialects/Plugin.h, or use "
                    "--load-pass-plugin for a plugin of mlir-opt");
    if (info->registerDialects)
      info->registerDialects(registry);
    if (info->registerPasses)
      info->registerPasses();
    return {};
  case PluginKind::Pass:
    return loadUpstream<mlir::PassPlugin>(path, "mlirGetPassPluginInfo", [](auto &plugin) {
      plugin.registerPassRegistryCallbacks();
    });
  case PluginKind::Dialect:
    return loadUpstream<mlir::DialectPlugin>(path, "mlirGetDialectPluginInfo", [&](auto &plugin) {
      plugin.registerDialectRegistryCallbacks(registry);
    });
  }
  return {};
}

Status loadPlugins(std::vector<char *> &args, mlir::DialectRegistry &registry) {
  static constexpr std::pair<llvm::StringLiteral, PluginKind> flags[] = {
      {"load-plugin", PluginKind::Levin},
      {"load-pass-plugin", PluginKind::Pass},
      {"load-dialect-plugin", PluginKind::Dialect}};
  std::vector<char *> rest;
  for (size_t i = 0; i < args.size(); ++i) {
    llvm::StringRef text(args[i]);
    std::optional<PluginKind> kind;
    if (i > 0 && (text.consume_front("--") || text.consume_front("-")))
      for (auto [flag, flagKind] : flags)
        if (text.split('=').first == flag)
          kind = flagKind;
    if (!kind) {
      rest.push_back(args[i]);
      continue;
    }
    auto [flag, value] = text.split('=');
    if (flag.size() == text.size() && i + 1 < args.size())
      value = args[++i];
    if (value.empty())
      return makeError(ErrorCode::Usage, "--{} names no file", flag.str())
          .note("fix", fmt::format("--{}=PLUGIN.so", flag.str()));
    LEVIN_RETURN_IF_ERROR(loadPlugin(value.str(), *kind, registry));
  }
  args = std::move(rest);
  return {};
}

} // namespace levin::tool
