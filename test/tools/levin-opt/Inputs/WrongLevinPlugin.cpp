// A plugin that says it was built for another Levin.
#include "dialects/Plugin.h"

extern "C" const LevinPluginInfo *levinPluginInfo() {
  static const LevinPluginInfo info{LEVIN_PLUGIN_API_VERSION, "wrong", "0.0.7",
                                    LLVM_VERSION_STRING,      nullptr, nullptr};
  return &info;
}
