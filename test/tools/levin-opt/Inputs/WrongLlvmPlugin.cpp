// A plugin that says it was built for another LLVM.
#include "dialects/Plugin.h"

extern "C" const LevinPluginInfo *levinPluginInfo() {
  static const LevinPluginInfo info{
      LEVIN_PLUGIN_API_VERSION, "wrong", LEVIN_VERSION_STRING, "19.1.0", nullptr, nullptr};
  return &info;
}
