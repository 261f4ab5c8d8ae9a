// Files: opened for reading beneath a folder, read at an offset, mapped, written atomically.
#ifndef LEVIN_RUNTIME_BASE_FILE_H
#define LEVIN_RUNTIME_BASE_FILE_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace levin {

/// A regular file that is open for reading.  Failures carry the code given at opening.
class File {
public:
  File() = default;
  ~File();
  File(File &&other) noexcept;
  File &operator=(File &&other) noexcept;

  /// Opens `path`, which the user named; symbolic links are followed.
  static Result<File> open(const std::string &path, ErrorCode code = ErrorCode::InputFile);

  /// Opens `name` beneath `folder`, where `name` comes from an untrusted file: it must be relative,
  /// without empty, "." or ".." parts, and no part of it may be a symbolic link.
  static Result<File> openBeneath(const std::string &folder, std::string_view name,
                                  ErrorCode code = ErrorCode::InputFile);

  const std::string &path() const { return name; }
  uint64_t size() const { return bytes; }
  int descriptor() const { return fd; }
  ErrorCode errorCode() const { return code; }

  /// Reads exactly `length` bytes at `offset`; a range outside the file is a failure.
  Status readAt(uint64_t offset, void *target, size_t length) const;

private:
  static Result<File> adopt(int fd, std::string name, ErrorCode code);

  int fd = -1;
  uint64_t bytes = 0;
  ErrorCode code = ErrorCode::InputFile;
  std::string name;
};

/// A file's bytes in memory, read-only.  The file may be closed; it must not be shortened.
class Mapping {
public:
  Mapping() = default;
  ~Mapping();
  Mapping(Mapping &&other) noexcept;
  Mapping &operator=(Mapping &&other) noexcept;

  static Result<Mapping> map(const File &file);

  std::span<const std::byte> bytes() const { return {base, length}; }
  std::string_view text() const { return {reinterpret_cast<const char *>(base), length}; }

private:
  const std::byte *base = nullptr;
  size_t length = 0;
};

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a temporary file in the same folder; commit() flushes it to the disk and renames
/// it.  Without commit() the temporary file is removed.  A link is followed; a device, pipe or
/// socket is refused, as renaming would replace it.
class AtomicFile {
public:
  AtomicFile() = default;
  ~AtomicFile();
  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&other) noexcept;

  static Result<AtomicFile> create(const std::string &name, ErrorCode code = ErrorCode::OutputFile);

  Status write(const void *data, size_t length);
  Status write(std::string_view text) { return write(text.data(), text.size()); }
  /// Bytes written so far.
  uint64_t position() const { return written; }
  /// Overwrites `length` bytes at `offset`, which must have been written before.
  Status overwrite(uint64_t offset, const void *data, size_t length);
  Status commit();

private:
  void discard();

  int fd = -1;
  uint64_t written = 0;
  ErrorCode code = ErrorCode::OutputFile;
  std::string path, temporary;
};

/// The whole of a file of at most `limit` bytes.
Result<std::string> readFile(const std::string &path, uint64_t limit = uint64_t(1) << 30,
                             ErrorCode code = ErrorCode::InputFile);

/// Writes `text` to `path` so that a reader sees the old file or the whole new one; to a device or
/// pipe, as it is.
Status writeFile(const std::string &path, std::string_view text,
                 ErrorCode code = ErrorCode::OutputFile);

} // namespace levin

#endif // LEVIN_RUNTIME_BASE_FILE_H
