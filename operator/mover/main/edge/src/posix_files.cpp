#include "edge/posix_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "mover/outcome.h"

namespace rollback::mover {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;
constexpr int kDeepest = 16;  // folders in folders
constexpr std::size_t kMostFiles = 1'000'000;

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Error failure(const std::string& what, const std::string& path, int number) {
  const std::string message = what + " " + path + ": " + std::strerror(number);
  switch (number) {
    case ENOENT:
      return problem(ErrorCode::NotFound, "", message);
    case ELOOP:
    case ENOTDIR:
      return problem(ErrorCode::BadInput, "HostilePath", message + " (symbolic links are not followed)");
    case ENOSPC:
    case EDQUOT:
      return problem(ErrorCode::Unavailable, "NoSpace", message + "; make room in the repository");
    case EROFS:
      return problem(ErrorCode::Unavailable, "ReadOnly", message);
    case EACCES:
    case EPERM:
      return problem(ErrorCode::Forbidden, "MayNotAccess",
                     message + " (user " + std::to_string(geteuid()) + ", group " + std::to_string(getegid()) +
                         "); see podSecurity of the BackupRepository");
    case EEXIST:
    case ENOTEMPTY:
      return problem(ErrorCode::AlreadyExists, "", message);
    default:
      return problem(ErrorCode::Unavailable, "MediumFailed", message);
  }
}

Error hostile(const std::string& path, const std::string& why) {
  return problem(ErrorCode::BadInput, "HostilePath", "the path " + path + " is refused: " + why);
}

// The folder that holds the last component of `path`, and that component.
Result<Fd> openParent(const std::string& root, const std::string& path, std::string& last) {
  if (const std::string why = pathProblem(path); !why.empty()) return hostile(path, why);
  Fd at(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at.get() < 0) return failure("opening", root, errno);
  std::size_t from = 0;
  for (std::size_t slash; (slash = path.find('/', from)) != std::string::npos; from = slash + 1) {
    Fd next(openat(at.get(), path.substr(from, slash - from).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (next.get() < 0) return failure("opening", path.substr(0, slash), errno);
    at = std::move(next);
  }
  last = path.substr(from);
  return at;
}

// A regular file; O_NONBLOCK so that a pipe put there does not hold us.
Result<Fd> openFile(const std::string& root, const std::string& path) {
  std::string last;
  auto parent = openParent(root, path, last);
  if (!parent) return parent.error();
  Fd fd(openat(parent->get(), last.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() < 0) return failure("opening", path, errno == ENXIO ? ELOOP : errno);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return failure("looking at", path, errno);
  if (!S_ISREG(status.st_mode)) return hostile(path, "it is no regular file");
  return fd;
}

FileEntry entryOf(const std::string& path, const struct stat& status) {
  FileEntry entry;
  entry.path = path;
  entry.kind = S_ISREG(status.st_mode)   ? FileEntry::Kind::File
               : S_ISDIR(status.st_mode) ? FileEntry::Kind::Folder
               : S_ISLNK(status.st_mode) ? FileEntry::Kind::Link
                                         : FileEntry::Kind::Other;
  entry.size = static_cast<std::uint64_t>(status.st_size);
  char stamp[160];
  std::snprintf(stamp, sizeof stamp, "%llx:%llx:%lld:%lld.%09ld:%lld.%09ld",
                static_cast<unsigned long long>(status.st_dev), static_cast<unsigned long long>(status.st_ino),
                static_cast<long long>(status.st_size), static_cast<long long>(status.st_mtim.tv_sec),
                status.st_mtim.tv_nsec, static_cast<long long>(status.st_ctim.tv_sec), status.st_ctim.tv_nsec);
  entry.stamp = stamp;
  return entry;
}

// Takes the descriptor. `prefix` is empty or ends with a slash.
Result<void> walkInto(int fd, const std::string& prefix, int depth, std::vector<FileEntry>& out) {
  DIR* folder = fdopendir(fd);
  if (!folder) {
    const int number = errno;
    close(fd);
    return failure("reading", prefix, number);
  }
  struct Closer {
    DIR* folder;
    ~Closer() { closedir(folder); }
  } closer{folder};
  if (depth > kDeepest) return hostile(prefix, "its folders are nested too deeply");
  for (;;) {
    errno = 0;
    const dirent* each = readdir(folder);
    if (!each && errno) return failure("reading", prefix, errno);
    if (!each) return {};
    const std::string name = each->d_name;
    if (name == "." || name == "..") continue;
    if (const std::string why = pathProblem(prefix + name); !why.empty()) return hostile(prefix + name, why);
    if (out.size() >= kMostFiles) return hostile(prefix, "it holds more than a million files");
    struct stat status {};
    if (fstatat(dirfd(folder), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return failure("looking at", prefix + name, errno);
    out.push_back(entryOf(prefix + name, status));
    if (!S_ISDIR(status.st_mode)) continue;
    const int inner = openat(dirfd(folder), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0) return failure("opening", prefix + name, errno);
    if (auto ok = walkInto(inner, prefix + name + "/", depth + 1, out); !ok) return ok;
  }
}

Result<void> removeAt(int parent, const std::string& name, int depth) {
  if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return failure("removing", name, errno);
  Fd folder(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (folder.get() < 0 || depth > kDeepest) return failure("opening", name, errno);
  DIR* list = fdopendir(dup(folder.get()));
  if (!list) return failure("reading", name, errno);
  std::vector<std::string> names;
  while (const dirent* each = readdir(list))
    if (std::strcmp(each->d_name, ".") != 0 && std::strcmp(each->d_name, "..") != 0) names.emplace_back(each->d_name);
  closedir(list);
  for (const auto& inner : names)
    if (auto ok = removeAt(folder.get(), inner, depth + 1); !ok) return ok;
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return failure("removing", name, errno);
  return {};
}

}  // namespace

Result<bool> PosixFiles::exists(const std::string& path) {
  std::string last;
  auto parent = openParent(root_, path, last);
  if (!parent) return parent.error().code == ErrorCode::NotFound ? Result<bool>(false) : Result<bool>(parent.error());
  struct stat status {};
  if (fstatat(parent->get(), last.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  return errno == ENOENT ? Result<bool>(false) : Result<bool>(failure("looking at", path, errno));
}

Result<std::vector<FileEntry>> PosixFiles::list(const std::string& folder) {
  int fd = -1;
  if (folder.empty()) {
    fd = open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } else {
    std::string last;
    auto parent = openParent(root_, folder, last);
    if (!parent) return parent.error();
    fd = openat(parent->get(), last.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  }
  if (fd < 0) return failure("opening", folder.empty() ? root_ : folder, errno);
  DIR* stream = fdopendir(fd);
  if (!stream) {
    const int number = errno;
    close(fd);
    return failure("reading", folder, number);
  }
  std::vector<FileEntry> out;
  int wrong = 0;
  for (;;) {
    errno = 0;
    const dirent* each = readdir(stream);
    if (!each) {
      wrong = errno;
      break;
    }
    const std::string name = each->d_name;
    struct stat status {};
    if (!pathProblem(name).empty() || out.size() >= kMostFiles ||
        fstatat(dirfd(stream), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    out.push_back(entryOf(name, status));
  }
  closedir(stream);
  if (wrong != 0) return failure("reading", folder, wrong);
  std::sort(out.begin(), out.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
  return out;
}

Result<std::vector<FileEntry>> PosixFiles::walk(const std::string& folder) {
  std::string last;
  auto parent = openParent(root_, folder, last);
  if (!parent) return parent.error();
  const int fd = openat(parent->get(), last.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return failure("opening", folder, errno);
  std::vector<FileEntry> out;
  if (auto ok = walkInto(fd, "", 0, out); !ok) return ok.error();
  std::sort(out.begin(), out.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
  return out;
}

Result<std::string> PosixFiles::read(const std::string& path, std::size_t limit) {
  std::string out;
  bool tooLarge = false;
  auto done = stream(path, [&](std::string_view piece) {
    out += piece;
    tooLarge = out.size() > limit;
    return !tooLarge;
  });
  if (tooLarge)
    return problem(ErrorCode::BadInput, "TooLarge", path + " is larger than " + std::to_string(limit) + " bytes");
  if (!done) return done.error();
  return out;
}

Result<void> PosixFiles::stream(const std::string& path, const std::function<bool(std::string_view)>& sink) {
  auto fd = openFile(root_, path);
  if (!fd) return fd.error();
  std::string buffer(kBuffer, '\0');
  for (;;) {
    const ssize_t count = ::read(fd->get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure("reading", path, errno);
    if (count == 0) return {};
    if (!sink(std::string_view(buffer.data(), static_cast<std::size_t>(count))))
      return problem(ErrorCode::Cancelled, "Cancelled", "reading " + path + " was stopped");
  }
}

Result<void> PosixFiles::makeFolders(const std::string& path) {
  if (const std::string why = pathProblem(path); !why.empty()) return hostile(path, why);
  for (std::size_t slash = 0; slash != std::string::npos;) {
    slash = path.find('/', slash + 1);
    std::string last;
    const std::string part = path.substr(0, slash);
    auto parent = openParent(root_, part, last);
    if (!parent) return parent.error();
    if (mkdirat(parent->get(), last.c_str(), 0777) != 0 && errno != EEXIST)
      return failure("making folder", part, errno);
  }
  return {};
}

Result<void> PosixFiles::write(const std::string& path, std::string_view content) {
  std::string last;
  auto parent = openParent(root_, path, last);
  if (!parent) return parent.error();
  Fd fd(openat(parent->get(), last.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (fd.get() < 0) return failure("creating", path, errno);
  for (std::size_t at = 0; at < content.size();) {
    const ssize_t count = ::write(fd.get(), content.data() + at, content.size() - at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure("writing", path, errno);
    at += static_cast<std::size_t>(count);
  }
  if (fsync(fd.get()) != 0) return failure("syncing", path, errno);
  return {};
}

Result<void> PosixFiles::sync(const std::string& path) {
  std::string last;
  auto parent = openParent(root_, path, last);
  if (!parent) return parent.error();
  Fd fd(openat(parent->get(), last.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() < 0) return failure("opening", path, errno);
  if (fsync(fd.get()) != 0) return failure("syncing", path, errno);
  return {};
}

Result<void> PosixFiles::rename(const std::string& from, const std::string& to) {
  std::string fromLast, toLast;
  auto fromParent = openParent(root_, from, fromLast);
  if (!fromParent) return fromParent.error();
  auto toParent = openParent(root_, to, toLast);
  if (!toParent) return toParent.error();
  // A folder replaces nothing but an empty folder; one that is there already is refused by the look before.
  struct stat status {};
  if (fstatat(toParent->get(), toLast.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
    return failure("renaming to", to, EEXIST);
  if (renameat(fromParent->get(), fromLast.c_str(), toParent->get(), toLast.c_str()) != 0)
    return failure("renaming " + from + " to", to, errno);
  if (fsync(toParent->get()) != 0) return failure("syncing the folder of", to, errno);
  return {};
}

Result<void> PosixFiles::removeTree(const std::string& path) {
  std::string last;
  auto parent = openParent(root_, path, last);
  if (!parent) return parent.error().code == ErrorCode::NotFound ? Result<void>() : Result<void>(parent.error());
  return removeAt(parent->get(), last, 0);
}

}  // namespace rollback::mover
