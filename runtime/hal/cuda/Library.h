// A shared library of the system, opened when it is needed.
#ifndef LEVIN_RUNTIME_HAL_CUDA_LIBRARY_H
#define LEVIN_RUNTIME_HAL_CUDA_LIBRARY_H

#include <span>
#include <string>

namespace levin::hal::cuda {

/// Closes the library at its end; the functions found in it are valid until then.
class Library {
public:
  Library() = default;
  ~Library();
  Library(Library &&other) noexcept;
  Library &operator=(Library &&other) noexcept;

  /// Opens the first of `names` that is there.  If none is, isOpen() is false and `why` says what
  /// the system said of each.
  static Library open(std::span<const std::string> names, std::string &why);

  bool isOpen() const { return handle != nullptr; }
  /// As it was opened.
  const std::string &name() const { return opened; }
  /// The address of a symbol; null if there is none.
  void *find(const char *symbol) const;

private:
  void *handle = nullptr;
  std::string opened;
};

} // namespace levin::hal::cuda

#endif // LEVIN_RUNTIME_HAL_CUDA_LIBRARY_H
