// Files below one folder: the backup repository, or the mover's scratch space. Paths are relative, of ordinary
// characters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rollback::mover {

// Whether a path may be used at all: relative, UTF-8, no empty, "." or ".." component, no control character, no
// backslash, at most 1024 bytes. The reason if not, empty if it may.
std::string pathProblem(std::string_view path);

struct FileEntry {
  enum class Kind { File, Folder, Link, Other };
  std::string path;  // relative to the folder that was walked
  Kind kind = Kind::File;
  std::uint64_t size = 0;
  std::string stamp;  // device, inode, size and times: equal stamps mean that nobody wrote in between
};

// No method follows a symbolic link below the root or opens anything but regular files and folders: BadInput with
// reason HostilePath. NotFound: it does not exist. Unavailable: the medium failed (reason NoSpace if it is full,
// ReadOnly). Thread-compatible.
class Files {
 public:
  virtual ~Files() = default;
  // The path as a program would open it.
  virtual std::string absolute(const std::string& path) const = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  // What is directly in a folder, sorted; "" is the root. Names that pathProblem() refuses are left out.
  virtual Result<std::vector<FileEntry>> list(const std::string& folder) = 0;
  // Everything below a folder, sorted by path.
  virtual Result<std::vector<FileEntry>> walk(const std::string& folder) = 0;
  // BadInput with reason TooLarge if it is longer than `limit`.
  virtual Result<std::string> read(const std::string& path, std::size_t limit) = 0;
  // Streams a file; `sink` returns false to stop (Cancelled).
  virtual Result<void> stream(const std::string& path, const std::function<bool(std::string_view)>& sink) = 0;
  virtual Result<void> makeFolders(const std::string& path) = 0;
  virtual Result<void> write(const std::string& path, std::string_view content) = 0;  // created or replaced, and synced
  virtual Result<void> sync(const std::string& path) = 0;                             // a file or a folder
  virtual Result<void> rename(const std::string& from,
                              const std::string& to) = 0;        // and syncs the folder; AlreadyExists
  virtual Result<void> removeTree(const std::string& path) = 0;  // a missing one is success
};

}  // namespace rollback::mover
