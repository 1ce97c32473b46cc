// Files below a root folder, opened component by component without following links.
#pragma once

#include "mover/files.h"

namespace rollback::mover {

class PosixFiles final : public Files {
 public:
  explicit PosixFiles(std::string root) : root_(std::move(root)) {}
  std::string absolute(const std::string& path) const override { return root_ + "/" + path; }
  Result<bool> exists(const std::string& path) override;
  Result<std::vector<FileEntry>> list(const std::string& folder) override;
  Result<std::vector<FileEntry>> walk(const std::string& folder) override;
  Result<std::string> read(const std::string& path, std::size_t limit) override;
  Result<void> stream(const std::string& path, const std::function<bool(std::string_view)>& sink) override;
  Result<void> makeFolders(const std::string& path) override;
  Result<void> write(const std::string& path, std::string_view content) override;
  Result<void> sync(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> removeTree(const std::string& path) override;

 private:
  std::string root_;
};

}  // namespace rollback::mover
