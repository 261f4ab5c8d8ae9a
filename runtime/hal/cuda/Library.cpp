#include "runtime/hal/cuda/Library.h"

#include <dlfcn.h>

#include <utility>

namespace levin::hal::cuda {

Library::~Library() {
  if (handle)
    ::dlclose(handle);
}

Library::Library(Library &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)), opened(std::move(other.opened)) {}

Library &Library::operator=(Library &&other) noexcept {
  std::swap(handle, other.handle);
  std::swap(opened, other.opened);
  return *this;
}

Library Library::open(std::span<const std::string> names, std::string &why) {
  Library library;
  why.clear();
  for (const std::string &name : names) {
    library.handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library.handle) {
      library.opened = name;
      return library;
    }
    why += (why.empty() ? "" : "; ") + std::string(::dlerror());
  }
  return library;
}

void *Library::find(const char *symbol) const { return ::dlsym(handle, symbol); }

} // namespace levin::hal::cuda
