// Per-database privileges and settings as statements. They are keyed by OID, so a renamed shadow has none but those it
// was given.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "mover/manifest.h"

namespace rollback::mover {

// create database … template template0 with the record's encoding, locale, tablespace and owner.
std::string createStatement(const DatabaseRecord& record, const std::string& name, int serverVersionNum);
// Settings, privileges and comment. BadInput (ManifestUnsupported): a privilege or setting that is not understood.
Result<std::vector<std::string>> dressStatements(const DatabaseRecord& record, const std::string& name);

// Last of all: a limit would keep the restoring sessions out too.
std::string connectionLimitStatement(const DatabaseRecord& record, const std::string& name);
// The first thing that differs, for people; empty if two databases are equal but for name, OID and size. Privileges
// that were never changed equal those that spell out the defaults.
std::string databaseDifference(const DatabaseRecord& wanted, const DatabaseRecord& found);

struct AclItem {
  std::string grantee;  // empty: PUBLIC
  std::string privileges;
  std::string grantor;
};
Result<AclItem> parseAclItem(const std::string& text);
// The elements of a setting that is a list of names (search_path), unquoted as the server would.
std::vector<std::string> splitNameList(const std::string& value);

}  // namespace rollback::mover
