// A plugin that says it is of another plugin interface.
#include "dialects/Plugin.h"

extern "C" const LevinPluginInfo *levinPluginInfo() {
  static const LevinPluginInfo info{7,       "wrong", LEVIN_VERSION_STRING, LLVM_VERSION_STRING,
                                    nullptr, nullptr};
  return &info;
}
