#include "runtime/base/File.h"

#include "runtime/base/Checked.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace levin {

static std::string reason(int error) { return std::generic_category().message(error); }

// Linux transfers at most 2^31 - 4096 bytes in one call.
static constexpr size_t largestTransfer = size_t(1) << 30;

// --- File ----------------------------------------------------------------------------------------

File::~File() {
  if (fd >= 0)
    ::close(fd);
}

File::File(File &&other) noexcept
    : fd(std::exchange(other.fd, -1)), bytes(other.bytes), code(other.code),
      name(std::move(other.name)) {}

File &File::operator=(File &&other) noexcept {
  std::swap(fd, other.fd);
  std::swap(bytes, other.bytes);
  std::swap(code, other.code);
  std::swap(name, other.name);
  return *this;
}

Result<File> File::adopt(int fd, std::string name, ErrorCode code) {
  File file;
  file.fd = fd;
  file.code = code;
  file.name = std::move(name);
  struct stat info{};
  if (::fstat(fd, &info) != 0)
    return makeError(code, "cannot read '{}': {}", file.name, reason(errno));
  if (!S_ISREG(info.st_mode))
    return makeError(code, "'{}' is {}, not a file", file.name,
                     S_ISDIR(info.st_mode) ? "a folder" : "a device, pipe or socket");
  file.bytes = static_cast<uint64_t>(info.st_size);
  return file;
}

Result<File> File::open(const std::string &path, ErrorCode code) {
  // Without O_NONBLOCK, opening a named pipe would wait for its writer.
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return makeError(code, "cannot open '{}': {}", path, reason(errno));
  return adopt(fd, path, code);
}

static bool isPlainPart(std::string_view part) {
  return !part.empty() && part != "." && part != ".." && part.find('\0') == part.npos;
}

Result<File> File::openBeneath(const std::string &folder, std::string_view name, ErrorCode code) {
  std::string shown = folder + "/" + std::string(name);
  int current = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (current < 0)
    return makeError(code, "cannot open folder '{}': {}", folder, reason(errno));
  std::string_view rest = name;
  while (true) {
    size_t slash = rest.find('/');
    bool last = slash == rest.npos;
    std::string part(rest.substr(0, slash));
    if (!isPlainPart(part)) {
      ::close(current);
      return makeError(code, "file name '{}' is not a plain relative name", name)
          .note("need", "parts separated by '/', none of them empty, '.' or '..'");
    }
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (last ? 0 : O_DIRECTORY);
    int next = ::openat(current, part.c_str(), flags);
    int error = errno;
    ::close(current);
    if (next < 0) {
      if (error == ELOOP)
        return makeError(code, "'{}' is a symbolic link, which is not followed here", shown);
      return makeError(code, "cannot open '{}': {}", shown, reason(error));
    }
    current = next;
    if (last)
      return adopt(current, std::move(shown), code);
    rest.remove_prefix(slash + 1);
  }
}

Status File::readAt(uint64_t offset, void *target, size_t length) const {
  if (!fitsWithin(offset, length, bytes))
    return makeError(code, "cannot read {} bytes at {} of '{}'", length, offset, name)
        .note("have", fmt::format("a file of {} bytes", bytes));
  char *out = static_cast<char *>(target);
  while (length > 0) {
    ssize_t got = ::pread(fd, out, std::min(length, largestTransfer), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return makeError(code, "cannot read '{}' at {}: {}", name, offset,
                       got < 0 ? reason(errno) : "the file became shorter");
    out += got;
    offset += static_cast<uint64_t>(got);
    length -= static_cast<size_t>(got);
  }
  return {};
}

// --- Mapping -------------------------------------------------------------------------------------

Mapping::~Mapping() {
  if (length != 0)
    ::munmap(const_cast<std::byte *>(base), length);
}

Mapping::Mapping(Mapping &&other) noexcept
    : base(std::exchange(other.base, nullptr)), length(std::exchange(other.length, 0)) {}

Mapping &Mapping::operator=(Mapping &&other) noexcept {
  std::swap(base, other.base);
  std::swap(length, other.length);
  return *this;
}

Result<Mapping> Mapping::map(const File &file) {
  Mapping mapping;
  auto length = narrow<size_t>(file.size());
  if (!length)
    return makeError(file.errorCode(), "'{}' is too large to map", file.path());
  if (*length == 0)
    return mapping;
  void *base = ::mmap(nullptr, *length, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (base == MAP_FAILED)
    return makeError(file.errorCode(), "cannot map '{}': {}", file.path(), reason(errno));
  mapping.base = static_cast<const std::byte *>(base);
  mapping.length = *length;
  return mapping;
}

// --- AtomicFile ----------------------------------------------------------------------------------

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (fd >= 0)
    ::close(fd);
  if (!temporary.empty())
    ::unlink(temporary.c_str());
  fd = -1;
  temporary.clear();
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : fd(std::exchange(other.fd, -1)), written(other.written), code(other.code),
      path(std::move(other.path)), temporary(std::exchange(other.temporary, {})) {}

AtomicFile &AtomicFile::operator=(AtomicFile &&other) noexcept {
  std::swap(fd, other.fd);
  std::swap(written, other.written);
  std::swap(code, other.code);
  std::swap(path, other.path);
  std::swap(temporary, other.temporary);
  return *this;
}

// Whether `path` is there and is neither a file nor a folder.
static bool isSpecial(const std::string &path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

// `path`, or what it leads to if it is a link: renaming would replace the link.
static std::string followed(const std::string &path) {
  struct stat about{};
  if (::lstat(path.c_str(), &about) != 0 || !S_ISLNK(about.st_mode))
    return path;
  char *target = ::realpath(path.c_str(), nullptr);
  std::string result = target ? target : path;
  std::free(target);
  return result;
}

Result<AtomicFile> AtomicFile::create(const std::string &name, ErrorCode code) {
  static std::atomic<unsigned> counter{0};
  if (isSpecial(name)) // and must not be replaced by a file, which root could
    return makeError(code, "cannot write '{}': it is a device, pipe or socket, not a file", name);
  std::string path = followed(name);
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string temporary =
        fmt::format("{}.{}-{}.tmp", path, static_cast<long>(::getpid()), counter++);
    int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 && errno == EEXIST)
      continue;
    if (fd < 0)
      return makeError(code, "cannot write '{}': {}", path, reason(errno));
    AtomicFile file;
    file.fd = fd;
    file.code = code;
    file.path = path;
    file.temporary = std::move(temporary);
    return file;
  }
  return makeError(code, "cannot write '{}': no free temporary name beside it", path);
}

Status AtomicFile::write(const void *data, size_t length) {
  const char *from = static_cast<const char *>(data);
  while (length > 0) {
    ssize_t put = ::write(fd, from, std::min(length, largestTransfer));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return makeError(code, "cannot write '{}': {}", path, reason(errno));
    from += put;
    length -= static_cast<size_t>(put);
    written += static_cast<uint64_t>(put);
  }
  return {};
}

Status AtomicFile::overwrite(uint64_t offset, const void *data, size_t length) {
  if (!fitsWithin(offset, length, written))
    return makeError(ErrorCode::Internal, "overwrite of bytes that were not written in '{}'", path);
  const char *from = static_cast<const char *>(data);
  while (length > 0) {
    ssize_t put = ::pwrite(fd, from, std::min(length, largestTransfer), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return makeError(code, "cannot write '{}': {}", path, reason(errno));
    from += put;
    offset += static_cast<uint64_t>(put);
    length -= static_cast<size_t>(put);
  }
  return {};
}

Status AtomicFile::commit() {
  Status status;
  if (::fsync(fd) != 0)
    status = makeError(code, "cannot write '{}': {}", path, reason(errno));
  else if (::rename(temporary.c_str(), path.c_str()) != 0)
    status = makeError(code, "cannot write '{}': {}", path, reason(errno));
  else
    temporary.clear();
  discard();
  return status;
}

// --- Whole files ---------------------------------------------------------------------------------

Result<std::string> readFile(const std::string &path, uint64_t limit, ErrorCode code) {
  LEVIN_ASSIGN_OR_RETURN(File file, File::open(path, code));
  if (file.size() > limit)
    return makeError(code, "'{}' is too large", path)
        .note("have", fmt::format("{} bytes", file.size()))
        .note("need", fmt::format("at most {} bytes", limit));
  std::string text(static_cast<size_t>(file.size()), '\0');
  LEVIN_RETURN_IF_ERROR(file.readAt(0, text.data(), text.size()));
  return text;
}

// To a device or pipe there is nothing to rename.
static Status writeInPlace(const std::string &path, std::string_view text, ErrorCode code) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  int error = fd < 0 ? errno : 0;
  while (error == 0 && !text.empty()) {
    ssize_t put = ::write(fd, text.data(), std::min(text.size(), largestTransfer));
    if (put >= 0)
      text.remove_prefix(static_cast<size_t>(put));
    else if (errno != EINTR)
      error = errno;
  }
  if (fd >= 0)
    ::close(fd);
  if (error != 0)
    return makeError(code, "cannot write '{}': {}", path, reason(error));
  return {};
}

Status writeFile(const std::string &path, std::string_view text, ErrorCode code) {
  if (isSpecial(path))
    return writeInPlace(path, text, code);
  LEVIN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path, code));
  LEVIN_RETURN_IF_ERROR(file.write(text));
  return file.commit();
}

} // namespace levin
